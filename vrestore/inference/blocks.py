"""Restored blocks: a clip through a restorer, window by window."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from vrestore.errors import RequestError
from vrestore.inference.plan import BlockPlan
from vrestore.inference.timeline import Timeline
from vrestore.inference.windows import Window, windows
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.request import Request
from vrestore.video import FrameBlock


class FrameSource(Protocol):
    """What gives the frames of a clip in consecutive blocks of at most so many frames: a `VideoReader`, for one."""

    def blocks(self, frames: int, /) -> Iterator[FrameBlock]: ...


@dataclass(frozen=True)
class RestoredBlock:
    """Some frames of the output.

    Attributes:
        frames: (T, 3, H, W) float32 in [0, 1], on the CPU. T may be 0 at the end, where the frame rate is lowered.
        times: seconds, one a frame.
        frames_in: input frames that they come from.
        seconds: that the model took.
    """

    frames: Tensor
    times: list[Fraction]
    frames_in: int
    seconds: float


def restored_blocks(
    restorer: BaseRestorer, request: Request, reader: FrameSource, timeline: Timeline, plan: BlockPlan
) -> Iterator[RestoredBlock]:
    """Read, restore, and drop what was context only.

    Raises:
        MediaError: the clip cannot be read.
        RequestError: the restorer refuses, runs out of memory, or gives frames that are no numbers.
    """
    least = restorer.capabilities.least_frames
    read_frames = min(plan.block_frames, 64)  # while a large window fills up, no second one lies beside it
    origin: Fraction | None = None
    for window in windows(reader.blocks(read_frames), plan.block_frames, plan.overlap_frames, least, plan.multiple):
        origin = window.times[0] if origin is None else origin
        started = time.perf_counter()
        restored = _restore(restorer, request, window)
        seconds = time.perf_counter() - started
        frames, first = _kept(restored, window, timeline.factor)
        if not torch.isfinite(frames).all():
            last = window.keep_start + window.keep_count - 1
            raise RequestError(
                f"the model gave values that are no numbers (NaN) for input frames {window.keep_start} to {last}; "
                f"try precision='fp32' or other weights"
            )
        after = None if window.after is None else [window.after]
        known = timeline.regular([*window.times, *(after or [])], window.keep_start, origin)
        inner = known[: window.keep_count]
        times = timeline.output_times(inner, known[-1] if after else None, window.keep_start, first, len(frames))
        yield RestoredBlock(frames, times, window.keep_count, seconds)


def _restore(restorer: BaseRestorer, request: Request, window: Window) -> Tensor:
    frames = window.frames
    try:
        return restorer.restore(frames, request).cpu()
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        t, _, h, w = frames.shape
        raise RequestError(
            f"there is not enough memory to restore {t} frames of {w}x{h} at once; ask for fewer (block_frames=…), "
            f"for smaller frames or for a lower scale"
        ) from error


def _kept(restored: Tensor, window: Window, factor: Fraction) -> tuple[Tensor, int]:
    """The restored frames that belong to the kept inputs, and the number of the first of them in the whole output.

    Output number k belongs to the input at ``floor(k / factor)``.
    """
    begin = math.ceil(window.start * factor)
    behind = window.keep_start + window.keep_count
    first = math.ceil(window.keep_start * factor) - begin
    if window.is_last:  # some models end on the last input frame and give fewer
        stop = min(len(restored), max(round(behind * factor), 1) - begin)
    else:
        stop = math.ceil(behind * factor) - begin
    if not 0 <= first <= stop <= len(restored) or (first == stop and not window.is_last):
        raise RequestError(
            f"the model gave {len(restored)} frames for {len(window.frames)} at {float(factor):g} times the frame "
            f"rate, which is too few to go on with"
        )
    return restored[first:stop], begin + first
