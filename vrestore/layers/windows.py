"""Overlapping windows over an axis: frames of a clip, rows and columns of a latent."""

from __future__ import annotations

from vrestore.errors import ConfigError

TAIL = 1.33  # VEnhancer's later release (2024-09-10)


def sliding_windows(length: int, window: int, overlap: int, tail: float = TAIL) -> list[tuple[int, int]]:
    """Overlapping windows over an axis; the last one grows instead of leaving a short rest.

    Args:
        length: of the axis, >= 1.
        window: length of a window.
        overlap: what neighbours share, 0 to window - 1.
        tail: the last window takes the rest when that is at most this many windows long, so it may be that much larger
            than the others.

    Returns:
        (start, stop) of each window, from 0 to `length`.

    Raises:
        ConfigError: an empty axis, or an overlap that leaves no stride.
    """
    if length < 1 or not 0 <= overlap < window or tail < 1:
        raise ConfigError(
            f"windows need a length of at least 1, 0 <= overlap < window and tail >= 1; got length={length}, "
            f"window={window}, overlap={overlap}, tail={tail}"
        )
    windows, start = [], 0
    while start + max(round(tail * window), window) < length:
        windows.append((start, start + window))
        start += window - overlap
    return [*windows, (start, length)]
