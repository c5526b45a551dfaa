"""Which moments a frame rate shows: counts, exact times, the held end, pairs."""

from fractions import Fraction as F

import pytest

from vrestore.restorers.moments import batches, in_pairs, plan_moments


def test_twice_the_rate_holds_the_last_frame():
    assert plan_moments(3, 2) == [(0, 0), (0, F(1, 2)), (1, 0), (1, F(1, 2)), (2, 0), (2, 0)]


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("factor", [0.3, 0.5, 1, 2, 2.5, 24000 / 1001 / 24, 60 / (30000 / 1001), 8])
def test_counts(frames, factor):
    moments = plan_moments(frames, factor)
    assert len(moments) == max(round(frames * factor), 1)
    for k, (i, time) in enumerate(moments):
        assert 0 <= time < 1
        assert i + time == pytest.approx(min(k / factor, frames - 1), abs=1e-6)


def test_times_are_the_fractions_that_floats_stand_for():
    assert plan_moments(3, 7 / 3)[1:3] == [(0, F(3, 7)), (0, F(6, 7))]
    # a block that starts at a multiple of the factor's denominator sees what the whole clip sees there
    whole, block = plan_moments(20, 5 / 2), plan_moments(14, 5 / 2)
    assert [(i - 6, t) for i, t in whole[15:]] == block


def test_pairs_and_their_times():
    assert in_pairs(plan_moments(3, 2), 3) == [(0, [0, F(1, 2)]), (1, [0, F(1, 2), 1])]
    assert in_pairs(plan_moments(1, 3), 1) == [(0, [0])]
    assert in_pairs(plan_moments(4, 0.5), 4) == [(0, [0]), (2, [0])]


def test_batches_are_alike():
    pairs = [(0, [0]), (1, [0]), (2, [0]), (3, [0, 1])]
    assert list(batches(pairs, 2)) == [pairs[:2], pairs[2:3], pairs[3:]]
