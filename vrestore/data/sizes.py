"""Sizes and other whole numbers of datasets: which are allowed, and which have an exact partner at a factor."""

from __future__ import annotations

from vrestore.errors import ConfigError

MOST_PX = 1 << 14


def fits(side_px: int, scale: float) -> bool:
    """Whether `side_px / scale` is a whole number of pixels."""
    ratio = side_px / scale
    return abs(ratio - round(ratio)) <= 1e-9


def round_down(side_px: int, scale: float) -> int:
    """The largest whole number of pixels up to `side_px` that fits `scale`; 0 where none does."""
    return next((side for side in range(side_px, 0, -1) if fits(side, scale)), 0)


def least_side(scale: float) -> int:
    """The smallest whole number of pixels that fits `scale`.

    Raises:
        ConfigError: no size up to 16384 pixels does.
    """
    for side in range(1, MOST_PX + 1):
        if fits(side, scale):
            return side
    raise ConfigError(
        f"no frame of up to {MOST_PX} pixels shrinks to whole pixels at scale {scale!r}; use a plainer scale"
    )


def two_sides(value: int | tuple[int, int], what: str) -> tuple[int, int]:
    """A side, or (height, width), as (height, width).

    Args:
        value: pixels.
        what: the argument's name, for the error.

    Raises:
        ConfigError: a side that is not a whole number >= 1.
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(not isinstance(side, int) or isinstance(side, bool) or side < 1 for side in pair):
        raise ConfigError(f"{what} must be a whole number of pixels >= 1, or (height, width) of such, got {value!r}")
    return pair[0], pair[1]


def whole_seed(seed: int, owner: str) -> int:
    """A seed that NumPy takes.

    Raises:
        ConfigError: it is not a whole number >= 0.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"{owner}: seed must be a whole number >= 0, got {seed!r}")
    return seed
