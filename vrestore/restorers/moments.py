"""Which moments of a clip the frames of another frame rate show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby

Moment = tuple[int, Fraction]  # a frame's number, and what part of the way to the next frame has passed, 0 to below 1


def plan_moments(frames: int, factor: float) -> list[Moment]:
    """The moments of ``round(frames * factor)`` frames, at least one: frame k shows the clip at ``k / factor``.

    Behind the last frame nothing is known: it is held. Times are exact, so that a block of a clip gets the very
    moments that the whole clip gets there.

    Args:
        frames: of the clip, >= 1.
        factor: multiple of the frame rate, > 0; taken for the fraction that it is nearest to.
    """
    exact = Fraction(factor).limit_denominator(10**6)
    moments = []
    for k in range(max(round(frames * exact), 1)):
        position = k / exact
        whole = position.numerator // position.denominator
        moments.append((whole, position - whole) if whole < frames - 1 else (frames - 1, Fraction(0)))
    return moments


def in_pairs(moments: Sequence[Moment], frames: int) -> list[tuple[int, list[Fraction]]]:
    """The moments by the pair of frames that they lie in: the first frame's number, and the times from 0 to 1.

    A whole clip's last frame is time 1 of the last pair; the only frame of a clip is time 0 of a pair with itself.
    Times of one moment that is shown again are named once.
    """
    last_pair = max(frames - 2, 0)
    inside = [(i, t) if i <= last_pair else (last_pair, t + (i - last_pair)) for i, t in moments]
    return [(i, list(dict.fromkeys(t for _, t in group))) for i, group in groupby(inside, key=lambda m: m[0])]


def batches(pairs: Sequence[tuple[int, list[Fraction]]], size: int) -> Iterator[list[tuple[int, list[Fraction]]]]:
    """Runs of at most `size` pairs that are asked for the same times."""
    for _, group in groupby(pairs, key=lambda pair: pair[1]):
        alike = list(group)
        yield from (alike[i : i + size] for i in range(0, len(alike), size))
