"""Blocks follow from what a restorer says of itself."""

from fractions import Fraction

import pytest

from vrestore.errors import RequestError
from vrestore.inference.plan import BLOCK_BYTES, MOST_BLOCK_FRAMES, plan_blocks
from vrestore.memory import free_memory_bytes
from vrestore.restorers.capabilities import Capabilities, Scales


def capabilities(**given):
    return Capabilities(spatial_scales=Scales(fixed=(1.0,)), **given)


FRAME = 12 * 2 * 640 * 360


def test_without_context_blocks_need_no_overlap():
    plan = plan_blocks(capabilities(context_frames=0), Fraction(1), 1000, FRAME)
    assert (plan.block_frames, plan.overlap_frames, plan.reasons) == (MOST_BLOCK_FRAMES, 0, [])


def test_declared_overlap_is_used():
    plan = plan_blocks(capabilities(context_frames=3, chunk_overlap_frames=5), Fraction(1), 1000, FRAME, 16)
    assert (plan.block_frames, plan.overlap_frames) == (16, 5)


def test_large_frames_make_small_blocks():
    assert plan_blocks(capabilities(), Fraction(1), 1000, BLOCK_BYTES // 10).block_frames == 10
    assert plan_blocks(capabilities(), Fraction(1), 1000, BLOCK_BYTES * 2).block_frames == 1
    assert plan_blocks(capabilities(least_frames=7), Fraction(1), 1000, BLOCK_BYTES * 2).block_frames == 7


def test_a_model_that_needs_the_whole_clip_gets_it_and_says_what_that_takes():
    plan = plan_blocks(capabilities(context_frames=None), Fraction(1), 100, 2**20, 8)
    assert plan.block_frames == 100
    assert "its 100 frames and what becomes of them take 100 MiB" in plan.reasons[0]
    assert "block_frames=8 is not used" in plan.reasons[1]


@pytest.mark.skipif(free_memory_bytes() is None, reason="the system does not tell its free memory")
def test_a_whole_clip_that_memory_cannot_hold_is_refused():
    with pytest.raises(RequestError, match=r"its 1000 frames alone take \d+\.\d GiB with \d+\.\d GiB free"):
        plan_blocks(capabilities(context_frames=None), Fraction(1), 1000, free_memory_bytes() // 500)


def test_broken_rates_keep_their_raster():
    plan = plan_blocks(capabilities(context_frames=1, chunk_overlap_frames=1), Fraction(12, 5), 1000, FRAME, 6)
    assert (plan.block_frames, plan.overlap_frames, plan.multiple) == (10, 5, 5)
    assert "blocks have 10 frames in place of 6" in plan.reasons[0]


def test_blocks_of_a_rate_in_halves_end_on_even_output_frames():
    assert plan_blocks(capabilities(), Fraction(5, 2), 1000, FRAME, 3).multiple == 4


@pytest.mark.parametrize("bad", [0, -1, True])
def test_impossible_blocks(bad):
    with pytest.raises(RequestError, match="block_frames must be a whole number of at least 1"):
        plan_blocks(capabilities(), Fraction(1), 10, FRAME, bad)
