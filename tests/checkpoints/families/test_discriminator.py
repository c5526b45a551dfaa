"""Discriminators of Real-ESRGAN and MMagic load; they are no restorers."""

import pytest
import torch

from vrestore import load_network, load_restorer
from vrestore.backbones import UNetDiscriminatorSN
from vrestore.checkpoints.network import fill_from_file
from vrestore.errors import WeightsError


@pytest.mark.parametrize("mmagic", [False, True])
@pytest.mark.parametrize("width", [3, 8])
def test_both_namings(tmp_path, mmagic, width):
    net = UNetDiscriminatorSN(mid_channels=width).eval()
    state = net.state_dict()
    if mmagic:
        state = {name.replace("conv", "conv_"): value for name, value in state.items()}
    torch.save({"params": state}, tmp_path / "netD.pth")
    loaded = load_network(tmp_path / "netD.pth")
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded(x), net(x))
    other = UNetDiscriminatorSN(mid_channels=width).eval()
    fill_from_file(other, tmp_path / "netD.pth")
    assert torch.equal(other(x), net(x))


def test_misfits_are_named(tmp_path):
    state = UNetDiscriminatorSN(mid_channels=4).state_dict()
    del state["conv5.weight_u"]
    with pytest.raises(WeightsError, match=r"looks like UNetDiscriminatorSN.*conv5\.weight_u"):
        load_network(state)


def test_it_restores_nothing(tmp_path):
    torch.save(UNetDiscriminatorSN(mid_channels=4).state_dict(), tmp_path / "netD.pth")
    with pytest.raises(WeightsError, match="holds UNetDiscriminatorSN, which is a part of restorers"):
        load_restorer(tmp_path / "netD.pth")
