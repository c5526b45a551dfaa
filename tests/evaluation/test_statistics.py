"""Means that name their exceptions, and the bootstrap interval."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrestore.evaluation.statistics import bootstrap_interval, clip_mean, mean_over_clips

scores = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


def test_infinite_and_missing_frames_are_counted_apart():
    mean = clip_mean([30.0, math.inf, 34.0, math.nan])
    assert (mean.mean, mean.frames, mean.infinite, mean.unmeasured) == (32.0, 4, 1, 1)
    assert clip_mean([math.inf, math.inf]).mean == math.inf
    assert math.isnan(clip_mean([math.nan]).mean)
    assert math.isnan(clip_mean([]).mean)


@given(scores, st.randoms(use_true_random=False))
def test_the_order_of_clips_changes_nothing(values, rng: random.Random):
    mixed = values.copy()
    rng.shuffle(mixed)
    assert mean_over_clips(mixed) == mean_over_clips(values)
    assert bootstrap_interval(mixed, draws=50) == bootstrap_interval(values, draws=50)


@given(scores)
def test_the_interval_lies_within_the_values_and_is_repeatable(values):
    low, high = bootstrap_interval(values, draws=200)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert bootstrap_interval(values, draws=200) == (low, high)


def test_the_interval_has_about_the_width_of_theory():
    values = np.random.default_rng(0).normal(30, 2, 200).tolist()
    low, high = bootstrap_interval(values)
    standard_error = np.std(values) / math.sqrt(200)
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_one_clip_has_no_interval():
    assert bootstrap_interval([30.0]) is None
    assert bootstrap_interval([30.0, math.inf, math.nan]) is None
