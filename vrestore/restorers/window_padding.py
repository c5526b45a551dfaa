"""Which frames stand around a frame: windows of a clip, and rules for what lies beyond its ends."""

from __future__ import annotations

from vrestore.errors import ConfigError

RULES = ("replicate", "reflection", "reflection_circle", "circle")


def window_indices(frame: int, clip_frames: int, num_frames: int, rule: str, center: int | None = None) -> list[int]:
    """Numbers of the frames of the window around a frame.

    Beyond the ends of the clip the rule names frames of the clip, here for 5 frames around number 0 of ``0 1 2 3 4 …``:

    - ``replicate``: the frame at the end: ``0 0 0 1 2``.
    - ``reflection``: as far inside as it lies outside: ``2 1 0 1 2``.
    - ``reflection_circle``: those next to the other end of the window, the nearest first: ``4 3 0 1 2``.
    - ``circle``: the same, so that time runs on: ``3 4 0 1 2``.

    In a clip so short that the rule names a frame which is not there, the nearest one that is there is taken.

    Args:
        frame: number of the frame to restore.
        clip_frames: frames of the clip.
        num_frames: frames of the window.
        rule: one of the four.
        center: place of the frame in its window, counted from 0; None is the middle.

    Raises:
        ConfigError: an unknown rule.
    """
    check_rule(rule)
    before = num_frames // 2 if center is None else center
    first, last = frame - before, frame - before + num_frames - 1
    end = clip_frames - 1
    indices = []
    for i in range(first, last + 1):
        if i < 0:
            named = {"replicate": 0, "reflection": -i, "reflection_circle": last - i, "circle": i + num_frames}[rule]
        elif i > end:
            named = {
                "replicate": end,
                "reflection": 2 * end - i,
                "reflection_circle": first - (i - end),
                "circle": i - num_frames,
            }[rule]
        else:
            named = i
        indices.append(min(max(named, 0), end))
    return indices


def window_reach(num_frames: int, rule: str, center: int | None = None) -> int:
    """The farthest frame, counted from the frame to restore, that its window may hold, whichever frame that is.

    At the ends of a clip the circling rules look as far to one side as the window is long.
    """
    check_rule(rule)
    before = num_frames // 2 if center is None else center
    return num_frames - 1 if rule in ("reflection_circle", "circle") else max(before, num_frames - 1 - before)


def check_rule(rule: str) -> None:
    """Refuse an unknown rule.

    Raises:
        ConfigError: names those that there are.
    """
    if rule not in RULES:
        raise ConfigError(f"padding must be one of {', '.join(RULES)}, got {rule!r}")
