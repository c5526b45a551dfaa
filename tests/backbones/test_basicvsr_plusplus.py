"""BasicVSR++ beyond the references: sizes, rules for odd clips, long clips. (Numbers: tests/parity.)

Random weights make the network chaotic, so clips are compared in float64.
"""

import pytest
import torch

from tests.backbones.randomised import randomised
from tests.contract import tiny
from vrestore.backbones import BasicVSRPlusPlus
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import BACKBONES

SAME_RESOLUTION = {**tiny.BASICVSR_PLUSPLUS, "is_low_res_input": False}


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        ({}, 7_322_927),
        (dict(mid_channels=128, num_blocks=25, is_low_res_input=False), 44_075_631),
    ],
)
def test_official_sizes(arguments, parameters):
    with torch.device("meta"):
        net = BasicVSRPlusPlus(**arguments)
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("config", [tiny.BASICVSR_PLUSPLUS, SAME_RESOLUTION])
@torch.no_grad()
def test_it_starts_at_its_base_exactly(config):
    net, lq = BACKBONES.build(config), torch.rand(1, 3, 3, 12, 16)
    base = torch.nn.functional.interpolate(lq[0], scale_factor=net.scale, mode="bilinear")
    torch.testing.assert_close(net(lq)[0], base)


@pytest.mark.parametrize("frames", [1, 2, 3, 6])
@torch.no_grad()
def test_same_resolution_of_small_frames(frames):
    net = randomised(SAME_RESOLUTION).double()
    assert (net.scale, net.size_multiple) == (1, 4)
    lq = torch.rand(2, frames, 3, 20, 36, dtype=torch.float64)
    hq, told = net(lq, return_intermediates=True)
    assert hq.shape == lq.shape
    assert hq.isfinite().all()
    assert told["flows_backward"].shape == told["flows_forward"].shape == (2, frames - 1, 2, 5, 9)
    torch.testing.assert_close(hq, torch.cat([net(clip[None]) for clip in lq]))


def test_same_resolution_refuses_sides_that_do_not_divide():
    with pytest.raises(RequestError, match=r"frames of 18x16 .* multiples of 4.*size_multiple=4"):
        BACKBONES.build(SAME_RESOLUTION)(torch.rand(1, 2, 3, 16, 18))


def test_channels_that_the_groups_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="24 channels cannot be aligned with groups=1 and deform_groups=16"):
        BACKBONES.build({**tiny.BASICVSR_PLUSPLUS, "mid_channels": 12})


@torch.no_grad()
def test_mirrored_clips_leave_no_trace_and_mix_with_others():
    net = randomised(tiny.BASICVSR_PLUSPLUS).double()
    half, other = (torch.rand(1, t, 3, 8, 12, dtype=torch.float64) for t in (2, 4))
    mirrored = torch.cat([half, half.flip(1)], 1)
    before = net(other)
    alone = net(mirrored)
    assert torch.equal(net(other), before)
    torch.testing.assert_close(net(torch.cat([mirrored, other])), torch.cat([alone, before]))


@torch.no_grad()
def test_a_frame_sees_the_whole_clip_and_the_largest_residue_counts():
    net = randomised(tiny.BASICVSR_PLUSPLUS)
    lq = torch.rand(1, 5, 3, 8, 12)
    exact = net(lq)
    for i in (0, 4):
        changed = lq.clone()
        changed[:, i] = 1 - changed[:, i]
        assert all((net(changed) - exact)[0, t].abs().max() > 0 for t in range(5))
    for align in net.deform_align.values():
        align.max_residue_magnitude = 3
    assert (net(lq) - exact).abs().max() > 1e-4
