"""What degradations draw: values of a range that walk from frame to frame, choices with weights; and their checks."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from vrestore.errors import ConfigError

Range = tuple[float, float]


def walk(rng: np.random.Generator, within: Range, step: float, n_frames: int, start: float | None = None) -> np.ndarray:
    """A value a frame: uniform at first, then moved by a uniform amount in [-step, step] and clipped to the range.

    The rule by which RealBasicVSR (Chan et al., CVPR 2022) keeps a degradation coherent over time.

    Args:
        rng: source of the draws; with a step of 0 only the first value is drawn.
        within: (least, most).
        step: largest change between two frames, >= 0.
        n_frames: length of the result.
        start: the first value, where it is drawn by another rule.

    Returns:
        (n_frames,) float64.
    """
    low, high = within
    values = np.empty(n_frames)
    values[0] = rng.uniform(low, high) if start is None else start
    if step == 0:
        values[:] = values[0]
        return values
    moves = rng.uniform(-step, step, n_frames - 1)
    for t, move in enumerate(moves, 1):
        values[t] = min(max(values[t - 1] + move, low), high)
    return values


def choose(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """A key, drawn in proportion to its weight."""
    limits = list(accumulate(weights.values()))
    return list(weights)[min(bisect_right(limits, rng.random() * limits[-1]), len(limits) - 1)]


def told(values: Iterable[float] | np.ndarray) -> float | list[float]:
    """Values of the frames for a record: one number where all are alike, else a list; rounded to 6 digits."""
    rounded = [round(float(value), 6) for value in values]
    return rounded[0] if len(set(rounded)) == 1 else rounded


def check_range(
    owner: str,
    field: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    whole: bool = False,
) -> Range:
    """A range as (low, high); a single number is a range of one value.

    Args:
        owner: class name, for the error.
        field: argument's name, for the error.
        value: what was given.
        least, most: what low and high may be.
        whole: whether both must be whole numbers.

    Raises:
        ConfigError: not two finite numbers in order, within the limits; names owner, field, value and what is right.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    good = len(pair) == 2 and all(_is_number(v) for v in pair)
    if good:
        good = least <= pair[0] <= pair[1] <= most and not (whole and any(int(v) != v for v in pair))
    if not good:
        kind = "whole numbers" if whole else "numbers"
        raise ConfigError(
            f"{owner} (DEGRADATIONS): {field} must be (low, high), {kind} with {_limits(least, most)}, got {value!r}"
        )
    return (int(pair[0]), int(pair[1])) if whole else (float(pair[0]), float(pair[1]))


def check_number(owner: str, field: str, value: Any, least: float = 0.0, most: float = math.inf) -> float:
    """A finite number within limits.

    Raises:
        ConfigError: it is none; names owner, field, value and what is right.
    """
    if not _is_number(value) or not least <= value <= most:
        span = f"from {least:g} to {most:g}" if most < math.inf else f">= {least:g}"
        raise ConfigError(f"{owner} (DEGRADATIONS): {field} must be a finite number {span}, got {value!r}")
    return float(value)


def check_prob(owner: str, field: str, value: Any) -> float:
    """A probability.

    Raises:
        ConfigError: it is no number from 0 to 1.
    """
    return check_number(owner, field, value, 0, 1)


def check_flag(owner: str, field: str, value: Any) -> bool:
    """True or False.

    Raises:
        ConfigError: it is neither; a word such as 'no' would count as True.
    """
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"{owner} (DEGRADATIONS): {field} must be True or False, got {value!r}")
    return bool(value)


def check_weights(owner: str, field: str, value: Any, allowed: Sequence[str] | None = None) -> dict[str, float]:
    """Names and how often each is drawn: a mapping to weights, a list of names drawn alike, or one name.

    Args:
        owner: class name, for the error.
        field: argument's name, for the error.
        value: what was given.
        allowed: the names there are; None takes any.

    Returns:
        Name to probability; they add up to 1.

    Raises:
        ConfigError: an unknown name, a weight that is negative or no number, or weights that are all 0.
    """
    given = value
    if isinstance(value, str):
        value = {value: 1}
    elif isinstance(value, (list, tuple)):
        value = dict.fromkeys(value, 1) if all(isinstance(name, str) for name in value) else None
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(
            f"{owner} (DEGRADATIONS): {field} must be names with their weights, such as {_example(allowed)}, "
            f"got {given!r}"
        )
    for name in value:
        if allowed is not None and name not in allowed:
            raise ConfigError(f"{owner} (DEGRADATIONS): {field} has no '{name}'; there are {', '.join(allowed)}")
    weights = list(value.values())
    if not all(_is_number(w) and w >= 0 for w in weights) or not sum(weights) > 0:
        raise ConfigError(
            f"{owner} (DEGRADATIONS): {field} must have weights >= 0, of which one is above 0, got {dict(value)!r}"
        )
    return {str(name): float(w) / float(sum(weights)) for name, w in value.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _limits(least: float, most: float) -> str:
    low = "low" if least == -math.inf else f"{least:g} <= low"
    return f"{low} <= high" + ("" if most == math.inf else f" <= {most:g}")


def _example(allowed: Sequence[str] | None) -> str:
    names = list(allowed or ("a", "b"))[:2]
    return "{" + ", ".join(f"'{name}': {1 / len(names):g}" for name in names) + "}"
