"""Whether draws follow the distribution that is stated: tests at the level of one in ten thousand, with fixed seeds."""

import math
from collections import Counter

import numpy as np


def assert_shares(drawn, weights) -> None:
    """Names (or numbers) are drawn in proportion to their weights: a chi-square test."""
    drawn, total = list(drawn), sum(weights.values())
    counts = Counter(drawn)
    assert set(counts) <= set(weights), set(counts) - set(weights)
    expected = {name: len(drawn) * weight / total for name, weight in weights.items() if weight > 0}
    assert min(expected.values()) >= 5, "too few draws to tell"
    statistic = sum((counts[name] - e) ** 2 / e for name, e in expected.items())
    degrees = len(expected) - 1
    # Wilson and Hilferty's approximation of the quantile of chi-square; 3.72 is that of the normal distribution.
    limit = degrees * (1 - 2 / (9 * degrees) + 3.72 * math.sqrt(2 / (9 * degrees))) ** 3
    assert statistic <= limit, (statistic, limit, dict(counts), expected)


def assert_distribution(values, cdf) -> None:
    """Values have the given distribution function: Kolmogorov and Smirnov's test."""
    values = np.sort(np.asarray(values, dtype=float))
    n = len(values)
    steps = np.arange(n + 1) / n
    expected = cdf(values)
    distance = max(np.abs(steps[1:] - expected).max(), np.abs(expected - steps[:-1]).max())
    assert distance <= 2.23 / math.sqrt(n), (distance, n)


def assert_uniform(values, low: float, high: float) -> None:
    values = np.asarray(values, dtype=float)
    assert low <= values.min()
    assert values.max() <= high
    assert_distribution(values, lambda v: (v - low) / (high - low))
