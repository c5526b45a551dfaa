"""Times of restored frames: output frame k shows the input at position k / factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vrestore.video import VideoInfo
from vrestore.video.encode import tick_for

_COARSE_TICK = Fraction(
    1, 10000
)  # above this, stored times are rounded visibly (Matroska: milliseconds; GIF: hundredths)
_FINEST_TICK = Fraction(1, 2**31 - 1)  # MP4 counts ticks a second in 31 bits


@dataclass(frozen=True)
class Timeline:
    """How the times of the source become those of the output.

    Attributes:
        factor: multiple of the frame rate.
        step: nominal seconds between frames of the source.
        snap_within: seconds by which a time may differ from the regular grid and still be put on it; 0 never does.
        tick: seconds that the output counts in.
        fps: nominal frames a second of the output.
    """

    factor: Fraction
    step: Fraction
    snap_within: Fraction
    tick: Fraction
    fps: Fraction

    def output_times(
        self, source: Sequence[Fraction], after: Fraction | None, start: int, first: int, count: int
    ) -> list[Fraction]:
        """Times of `count` outputs from output number `first` on.

        Args:
            source: times of the inputs from number `start` on.
            after: time of the input that follows them; None at the end, where the last one stays for one step.
            start: number of the first input.
            first: number of the first output, which belongs to one of these inputs.
            count: how many.
        """
        known = [*source, after if after is not None else source[-1] + self.step]
        times = []
        for k in range(first, first + count):
            position = k / self.factor - start
            whole = min(math.floor(position), len(known) - 2)
            times.append(known[whole] + (position - whole) * (known[whole + 1] - known[whole]))
        return times

    def regular(self, times: Sequence[Fraction], start: int, origin: Fraction) -> list[Fraction]:
        """Input times freed from the rounding of a container with coarse ticks.

        Args:
            times: of the inputs from number `start` on.
            origin: time of input number 0.
        """
        if not self.snap_within:
            return list(times)
        grid = (origin + (start + i) * self.step for i in range(len(times)))
        return [g if abs(t - g) <= self.snap_within else t for t, g in zip(times, grid, strict=True)]


def plan_timeline(info: VideoInfo, step: Fraction, factor: Fraction) -> Timeline:
    """The timeline of a source and a multiple of its frame rate.

    Args:
        info: the source.
        step: nominal seconds between its frames.
        factor: multiple of the frame rate, > 0.
    """
    fps = (factor / step).limit_denominator(10**6)
    if info.time_base is None:
        return Timeline(factor, step, Fraction(0), tick_for(fps), fps)
    if not info.is_vfr and info.time_base > _COARSE_TICK:
        return Timeline(factor, step, info.time_base, tick_for(fps), fps)
    tick = info.time_base / factor.numerator
    if info.time_base > _COARSE_TICK or tick < _FINEST_TICK:
        tick = tick_for(fps)
    return Timeline(factor, step, Fraction(0), tick, fps)
