"""load_network on RealBasicVSR: the averaged generator of the release, sizes told by shapes, keywords for the rest."""

import pytest
import torch

from tests.checkpoints.families.official import check_official
from tests.checkpoints.parts import SMALL_SPYNET, basicsr_names, same_weights
from tests.paths import needs_shared_parity
from vrestore.backbones import RealBasicVSR
from vrestore.checkpoints import load_network
from vrestore.errors import WeightsError

ODD = dict(mid_channels=6, num_propagation_blocks=2, num_cleaning_blocks=3, hr_channels=5, spynet=SMALL_SPYNET)


@pytest.fixture
def network():
    net = RealBasicVSR(**ODD).eval()
    torch.nn.init.normal_(net.image_cleaning[1].weight, std=0.01)
    return net


@needs_shared_parity
def test_official_list():
    arguments = check_official("mmagic_realbasicvsr_c64b20", "RealBasicVSR")
    assert (arguments["num_propagation_blocks"], arguments["num_cleaning_blocks"]) == (20, 20)


@pytest.mark.parametrize(
    "release",
    [
        lambda s: s,
        basicsr_names,
        lambda s: {"state_dict": {f"generator.{k}": v for k, v in s.items()}},
        lambda s: {
            "state_dict": {
                **{f"generator.{k}": v * 0 for k, v in s.items()},
                **{f"generator_ema.{k}": v for k, v in s.items()},
                "discriminator.conv_0.weight": torch.zeros(3),
                "step_counter": torch.zeros(1),
            }
        },
        lambda s: {k: v for k, v in s.items() if not k.endswith(("spynet.mean", "spynet.std"))},
    ],
)
@torch.no_grad()
def test_releases_and_odd_sizes(network, release):
    loaded = load_network(release(network.state_dict()))
    assert isinstance(loaded, RealBasicVSR)
    assert same_weights(loaded, network)
    lq = torch.rand(1, 2, 3, 12, 12)
    assert torch.equal(loaded(lq), network(lq))


def test_keywords(network):
    state = network.state_dict()
    assert load_network(state).dynamic_refine_thres == 255
    loaded = load_network(state, dynamic_refine_thres=5, is_sequential_cleaning=True)
    assert (loaded.dynamic_refine_thres, loaded.is_sequential_cleaning) == (5, True)
    with pytest.raises(WeightsError, match="num_cleaning_blocks=20 contradicts the weights"):
        load_network(state, num_cleaning_blocks=20)


def test_the_basicvsr_inside_is_told_from_the_whole(network):
    assert same_weights(load_network(network.basicvsr.state_dict()), network.basicvsr)


def test_a_basicvsr_with_a_cleaning_that_lacks_a_layer(network):
    state = {k: v for k, v in network.state_dict().items() if k != "image_cleaning.1.weight"}
    with pytest.raises(WeightsError, match=r"looks like RealBasicVSR, but does not fit: .*image_cleaning\.1\.weight"):
        load_network(state)
