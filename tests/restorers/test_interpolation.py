"""InterpolationRestorer: exact times, given frames kept, cuts and still frames, blocks, halving, training."""

import math
from fractions import Fraction

import pytest
import torch

from tests.contract import tiny
from vrestore.errors import ConfigError, RequestError
from vrestore.inference.plan import plan_blocks
from vrestore.inference.windows import windows
from vrestore.registry import BACKBONES
from vrestore.restorers import InterpolationRestorer, Request
from vrestore.video import FrameBlock

ALL = {"cut_below": None, "static_above": None}


@BACKBONES.register_module(force=True)
class BlendPair(torch.nn.Module):
    """Linear blending, so that every frame is known; counts its calls."""

    def __init__(self, any_time=True):
        super().__init__()
        self.any_time = any_time
        self.strength = torch.nn.Parameter(torch.ones(()))
        self.batches = []

    def forward(self, img0, img1, timestep=0.5):
        self.batches.append(len(img0))
        if not self.any_time:
            assert timestep == 0.5
        t = timestep.view(-1, 1, 1, 1) if isinstance(timestep, torch.Tensor) else timestep
        return (img0 + (img1 - img0) * t) * self.strength


def blend(any_time=True, **arguments):
    return InterpolationRestorer({"type": "BlendPair", "any_time": any_time}, **{**ALL, **arguments})


def ramp(frames: int) -> torch.Tensor:
    """Frames whose brightness is their time."""
    return (torch.arange(frames) / 20).view(-1, 1, 1, 1).expand(frames, 3, 9, 14).contiguous()


def brightness(frames: torch.Tensor) -> torch.Tensor:
    return frames.mean((1, 2, 3)) * 20


@pytest.mark.parametrize("factor", [0.5, 1, 1.5, 2, 2.4, 3, 5, 7, 8, 16])
def test_frames_lie_at_their_times(factor):
    out = blend().restore(ramp(6), Request(temporal_scale=factor))
    assert len(out) == round(6 * factor)
    torch.testing.assert_close(brightness(out), (torch.arange(len(out)) / factor).clamp(max=5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 16])
def test_a_network_without_time_reaches_powers_of_two(factor):
    restorer = blend(any_time=False, batch_pairs=2)
    out = restorer.restore(ramp(4), Request(temporal_scale=factor))
    torch.testing.assert_close(brightness(out), (torch.arange(4 * factor) / factor).clamp(max=3), atol=1e-5, rtol=0)
    # two pairs, then one; each wanted frame is made once
    assert restorer.backbone.batches == [2] * (factor - 1) + [1] * (factor - 1)


def test_a_rate_that_halving_does_not_reach_is_refused():
    with pytest.raises(RequestError, match="3 times the frame rate is not served; this model serves 1, 2, 4, 8, 16"):
        blend(any_time=False).restore(ramp(3), Request(temporal_scale=3))


def test_given_frames_are_kept_as_they_are():
    frames = torch.rand(4, 3, 20, 33)
    config = tiny.PAIR_BACKBONES["RIFE"]
    out = InterpolationRestorer(config, **ALL).restore(frames, Request(temporal_scale=3))
    assert out.shape == (12, 3, 20, 33)
    assert torch.equal(out[::3], frames)
    assert torch.equal(out[10], frames[3])
    assert torch.equal(out[11], frames[3])
    assert not torch.allclose(out[1], frames[0], atol=1e-3)


def test_one_frame_is_repeated():
    frames = torch.rand(1, 3, 9, 9)
    out = InterpolationRestorer(tiny.PAIR_BACKBONES["RIFE"]).restore(frames, Request(temporal_scale=4))
    assert torch.equal(out, frames.expand(4, -1, -1, -1))


def test_a_target_rate():
    out = blend().restore(ramp(5), Request(fps=60, source_fps=Fraction(25)))
    assert len(out) == 12
    torch.testing.assert_close(brightness(out), (torch.arange(12) * 25 / 60).clamp(max=4), atol=1e-5, rtol=0)


def test_a_cut_shows_the_nearer_frame():
    dark, light = torch.rand(2, 3, 40, 40) * 0.2, 1 - torch.rand(2, 3, 40, 40) * 0.2
    frames = torch.cat([dark, light])
    request = Request(temporal_scale=4)
    out = blend(cut_below=0.2).restore(frames, request)
    assert torch.equal(out[5], frames[1])
    assert torch.equal(out[6], frames[1])  # as near to both: the earlier
    assert torch.equal(out[7], frames[2])
    torch.testing.assert_close(blend().restore(frames, request)[6], (frames[1] + frames[2]) / 2)


def test_frames_that_stand_still_are_not_interpolated():
    base = torch.nn.functional.interpolate(torch.rand(1, 3, 6, 6), size=(64, 64), mode="bicubic").clamp(0.05, 0.95)
    still, moved = base + 1 / 255, base.clone()
    moved[..., 10, 10] = 1 - moved[..., 10, 10].round()  # too little for a thumbnail to show
    restorer = blend(static_above=0.996)
    request = Request(temporal_scale=4)
    out = restorer.restore(torch.cat([base, still]), request)
    assert not restorer.backbone.batches
    assert torch.equal(out[2], base[0])
    assert torch.equal(out[3], still[0])
    restorer.restore(torch.cat([base, moved]), request)
    assert sum(restorer.backbone.batches) == 3


def test_batches_change_nothing():
    frames = torch.rand(5, 3, 32, 40)
    config = tiny.PAIR_BACKBONES["RIFE"]
    torch.manual_seed(0)
    one = InterpolationRestorer(config, batch_pairs=1, **ALL)
    many = InterpolationRestorer(config, batch_pairs=7, **ALL)
    many.load_state_dict(one.state_dict())
    request = Request(temporal_scale=2.5)
    torch.testing.assert_close(one.restore(frames, request), many.restore(frames, request), atol=1e-5, rtol=0)


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(3), Fraction(5, 2), Fraction(1, 2)])
@pytest.mark.parametrize("keep", [1, 2, 4])
def test_blocks_give_the_frames_of_the_whole_clip(factor, keep):
    check_blocks(blend(), ramp(11), factor, keep)


def check_blocks(restorer, frames, factor, keep, atol=1e-6):
    """The kept part of every window equals the whole clip's result there, as the engine cuts them."""
    request = Request(temporal_scale=float(factor))
    whole = restorer.restore(frames, request)
    plan = plan_blocks(restorer.capabilities, factor, len(frames), 1000, keep)
    block = FrameBlock(frames, [Fraction(i, 25) for i in range(len(frames))], 0)
    cut = list(windows([block], plan.block_frames, plan.overlap_frames, 1, plan.multiple))
    assert len(cut) > 1
    for window in cut:
        begin = math.ceil(window.start * factor)
        first = math.ceil(window.keep_start * factor)
        stop = len(whole) if window.is_last else math.ceil((window.keep_start + window.keep_count) * factor)
        got = restorer.restore(window.frames, request)[first - begin : stop - begin]
        torch.testing.assert_close(got, whole[first:stop], atol=atol, rtol=0)


def test_training_learns_the_frames_between():
    restorer = blend()
    hq = ramp(5)[None].expand(2, -1, -1, -1, -1) + 0.1
    lq = hq[:, ::2]
    assert restorer.loss(lq, hq)["loss_pixel"].item() == pytest.approx(1e-6, abs=2e-5)
    restorer.loss(lq, hq * 0.9)["loss_pixel"].backward()
    assert restorer.backbone.strength.grad > 0
    assert torch.isfinite(blend(any_time=False).loss(hq[:, ::4], hq)["loss_pixel"])
    with pytest.raises(ConfigError, match=r"\(T - 1\) \* k \+ 1 clean ones .* got 3 given and 3 clean"):
        restorer.loss(lq, lq)
    with pytest.raises(ConfigError, match="a power of two times"):
        blend(any_time=False).loss(hq[:, ::3], hq[:, :4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_pairs": 0}, "batch_pairs must be at least 1, got 0"),
        ({"cut_below": 2}, "cut_below must be a similarity from -1 to 1, or None to switch it off; got 2"),
        ({"static_above": -3}, "static_above must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        blend(**arguments)
