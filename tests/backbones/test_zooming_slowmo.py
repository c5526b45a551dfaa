"""Zooming Slow-Mo: frames between, any number of frames, both directions see the whole clip."""

import pytest
import torch

from vrestore.backbones import ZoomingSlowMo
from vrestore.errors import ConfigError

SMALL = dict(mid_channels=8, deform_groups=2, front_blocks=1, back_blocks=1, hr_channels=8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return ZoomingSlowMo(**SMALL).eval()


@pytest.mark.parametrize("frames", [1, 2, 5])
@torch.no_grad()
def test_one_frame_more_between_each_two(network, frames):
    assert network(torch.rand(1, frames, 3, 8, 12)).shape == (1, 2 * frames - 1, 3, 32, 48)


@torch.no_grad()
def test_the_clip_reversed_in_time_gives_other_frames_of_the_same_places(network):
    lq = torch.rand(1, 3, 3, 8, 8)
    out = network(lq)
    changed = lq.clone()
    changed[:, -1] = 1 - changed[:, -1]
    difference = (network(changed) - out).abs().amax((0, 2, 3, 4))
    assert (difference > 0).all(), "the last frame changes every frame of a recurrence that runs both ways"
    assert difference[-1] > difference[0]


def test_groups_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ConfigError, match="deform_groups=3 must divide the 8 feature channels"):
        ZoomingSlowMo(**{**SMALL, "deform_groups": 3})
