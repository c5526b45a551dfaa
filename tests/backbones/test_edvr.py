"""EDVR beyond the references: sizes, variants, which frame it restores, what it refuses. (Numbers: tests/parity.)"""

import pytest
import torch

from tests.backbones.randomised import randomised
from tests.contract import tiny
from vrestore.backbones import EDVR
from vrestore.checkpoints.weightless import weightless
from vrestore.errors import ConfigError, RegistryError, RequestError
from vrestore.registry import BACKBONES

HR = {**tiny.EDVR, "with_predeblur": True, "hr_in": True}
L = dict(mid_channels=128, num_blocks_reconstruction=40)


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 3_300_131),
        (dict(with_tsa=False), 2_996_259),
        (L, 20_633_827),
        (dict(**L, num_frames=7), 20_699_363),
        (dict(**L, with_predeblur=True, hr_in=True), 23_602_019),
    ],
)
def test_official_sizes(arguments, parameters):
    with weightless():
        net = EDVR(**arguments)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("center", [0, 1, 2])
@torch.no_grad()
def test_it_starts_at_the_bilinear_base_of_its_frame(center):
    lq = torch.rand(2, 3, 3, 8, 12)
    base = torch.nn.functional.interpolate(lq[:, center], scale_factor=4, mode="bilinear")
    torch.testing.assert_close(BACKBONES.build({**tiny.EDVR, "center_frame_idx": center})(lq), base)


@torch.no_grad()
def test_frames_of_the_output_size():
    net = BACKBONES.build(HR)
    lq = torch.rand(2, 3, 3, 16, 32)
    assert (net.scale, net.size_multiple) == (1, 16)
    torch.testing.assert_close(net(lq), lq[:, 1])
    with pytest.raises(RequestError, match="multiples of 16, got 24x16"):
        net(torch.rand(1, 3, 3, 16, 24))


@pytest.mark.parametrize(
    "more", [dict(with_tsa=False), dict(with_predeblur=True), dict(with_predeblur=True, hr_in=True)]
)
def test_every_variant_trains_every_parameter(more):
    net = randomised({**tiny.EDVR, **more})
    net(torch.rand(1, 3, 3, 32, 32)).square().mean().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("place", [0, 1, 2])
@torch.no_grad()
def test_every_frame_of_the_window_matters(place):
    net = randomised(tiny.EDVR)
    lq = torch.rand(1, 3, 3, 8, 8)
    other = lq.clone()
    other[:, place] = torch.rand(1, 3, 8, 8)
    assert (net(lq) - net(other)).abs().max() > 1e-4


@torch.no_grad()
def test_other_channels_and_an_even_window():
    net = EDVR(1, 1, 8, num_frames=4, deform_groups=1, num_blocks_extraction=0, num_blocks_reconstruction=0)
    assert net.center_frame_idx == 2
    assert net(torch.rand(1, 4, 1, 4, 8)).shape == (1, 1, 16, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(hr_in=True), "hr_in=True needs with_predeblur=True"),
        (dict(center_frame_idx=3, num_frames=3), "center_frame_idx=3 must be a frame of the window, 0 to 2"),
        (dict(mid_channels=12, deform_groups=8), "deform_groups=8 must divide the 12 feature channels"),
        (dict(out_channels=1), "out_channels=1 must be in_channels=3"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises((ConfigError, RegistryError), match=message):
        BACKBONES.build(dict(type="EDVR", **arguments))
