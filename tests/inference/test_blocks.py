"""Cutting a clip into blocks changes nothing, for any restorer that says the truth of its context."""

from fractions import Fraction

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.inference.restorers import Between, Broken, Defect, OutOfMemory, Plain, Smooth
from tests.video.clips import smooth_frames, write_png
from vrestore.errors import RequestError
from vrestore.inference.blocks import restored_blocks
from vrestore.inference.plan import plan_blocks
from vrestore.inference.timeline import plan_timeline
from vrestore.restorers.request import Request
from vrestore.video import VideoReader

COUNT = 23


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    for i, image in enumerate(smooth_frames(COUNT, 8, 10)):
        write_png(folder / f"{i}.png", image)
    return folder


def run(restorer, clip, factor=Fraction(1), block_frames=None):
    with VideoReader(clip) as reader:
        request = Request(temporal_scale=float(factor)) if factor != 1 else Request()
        plan = plan_blocks(restorer.capabilities, factor, COUNT, 1000, block_frames)
        timeline = plan_timeline(reader.info, reader.frame_step, factor)
        blocks = list(restored_blocks(restorer, request, reader, timeline, plan))
    assert sum(b.frames_in for b in blocks) == COUNT
    return torch.cat([b.frames for b in blocks]), [t for b in blocks for t in b.times]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([Plain, Smooth, Between]),
    factor=st.sampled_from([Fraction(1), Fraction(2), Fraction(3), Fraction(5, 2), Fraction(1, 2)]),
    block=st.integers(1, COUNT),
)
def test_any_block_size_gives_the_frames_of_the_whole_clip(clip, kind, factor, block):
    if kind is Between and factor.denominator != 1:
        factor = Fraction(2)
    whole, times = run(kind(), clip, factor, COUNT * 2)
    frames, block_times = run(kind(), clip, factor, block)
    torch.testing.assert_close(frames, whole, atol=1e-6, rtol=0)
    assert block_times == times
    assert len(times) == ((COUNT - 1) * factor + 1 if kind is Between else round(COUNT * factor))
    assert times == [k / (25 * factor) for k in range(len(times))]


def test_windows_are_as_small_as_planned(clip):
    restorer = Smooth()
    run(restorer, clip, block_frames=4)
    assert len(restorer.windows) > 3
    assert max(restorer.windows) <= 4 + 2 * 2 + 2


def test_a_short_last_block_is_filled_up_to_the_least_length(clip):
    restorer = Plain(least_frames=5)
    frames, _ = run(restorer, clip, block_frames=6)
    assert min(restorer.windows) >= 5
    assert len(frames) == COUNT


def test_frames_that_are_no_numbers_are_named(clip):
    with pytest.raises(RequestError, match=r"no numbers \(NaN\) for input frames 6 to 11; try precision='fp32'"):
        run(Broken(), clip, block_frames=6)


def test_memory_that_does_not_suffice_is_told_with_a_way_out(clip):
    with pytest.raises(RequestError, match=r"not enough memory to restore 6 frames of 10x8 at once; ask for fewer"):
        run(OutOfMemory(), clip, block_frames=6)


def test_a_defect_of_a_restorer_keeps_its_traceback(clip):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        run(Defect(), clip)


def test_a_restorer_that_loses_frames_is_noticed(clip):
    class Loses(Plain):
        def restore_frames(self, frames_TCHW, request):
            return frames_TCHW[:2]

    with pytest.raises(RequestError, match="the model gave 2 frames for 6 at 1 times the frame rate"):
        run(Loses(), clip, block_frames=6)
