"""Times of restored frames."""

from dataclasses import replace
from fractions import Fraction

import pytest

from tests.video.clips import encode, smooth_frames, uneven_times
from vrestore.inference.timeline import plan_timeline
from vrestore.video import probe


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    return probe(encode(tmp_path_factory.mktemp("clip") / "a.mp4", smooth_frames(6)))


def test_the_same_rate_gives_the_same_times(info):
    timeline = plan_timeline(info, info.frame_step, Fraction(1))
    times = uneven_times(6)
    assert timeline.output_times(times, None, 0, 0, 6) == times


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(3), Fraction(5, 2), Fraction(1, 2), Fraction(2002, 1000)])
def test_an_even_clip_stays_even(info, factor):
    timeline = plan_timeline(info, Fraction(1, 25), factor)
    times = [Fraction(i, 25) for i in range(8)]
    count = round(8 * factor)
    assert timeline.fps == 25 * factor
    assert timeline.output_times(times, None, 0, 0, count) == [k / (25 * factor) for k in range(count)]
    assert all((t / timeline.tick).denominator == 1 for t in timeline.output_times(times, None, 0, 0, count))


def test_uneven_times_are_divided_within_their_own_steps(info):
    timeline = plan_timeline(info, Fraction(1, 25), Fraction(2))
    assert timeline.output_times([Fraction(0), Fraction(1), Fraction(4)], None, 0, 0, 6) == [
        0, Fraction(1, 2), 1, Fraction(5, 2), 4, 4 + Fraction(1, 50)
    ]  # fmt: skip


def test_blocks_give_what_the_whole_clip_gives(info):
    factor, times = Fraction(5, 2), [5 + t for t in uneven_times(12)]
    timeline = plan_timeline(info, Fraction(1, 25), factor)
    whole = timeline.output_times(times, None, 0, 0, 30)
    pieces = []
    for start in range(0, 12, 4):
        after = times[start + 4] if start + 4 < 12 else None
        pieces += timeline.output_times(times[start : start + 4], after, start, start * 5 // 2, 10)
    assert pieces == whole


def test_milliseconds_of_matroska_are_put_back_on_the_grid(tmp_path):
    fps = Fraction(24000, 1001)
    info = probe(encode(tmp_path / "a.mkv", smooth_frames(40), fps=fps))
    rounded = [Fraction(round(i / fps * 1000), 1000) for i in range(40)]
    timeline = plan_timeline(info, info.frame_step, Fraction(1))
    assert timeline.regular(rounded, 0, Fraction(0)) == [i / fps for i in range(40)]
    assert timeline.regular(rounded[10:], 10, Fraction(0)) == [i / fps for i in range(10, 40)]
    gap = [Fraction(0), Fraction(42, 1000), Fraction(7)]  # a true gap stays
    assert timeline.regular(gap, 0, Fraction(0))[2] == 7


def test_uneven_clips_are_left_alone(info):
    timeline = plan_timeline(replace(info, is_vfr=True, time_base=Fraction(1, 1000)), Fraction(1, 25), Fraction(1))
    times = [Fraction(1, 1000), Fraction(41, 1000)]
    assert timeline.regular(times, 0, times[0]) == times
