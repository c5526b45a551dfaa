"""Restored blocks: a clip through a restorer, window by window."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from vrestore.errors import RequestError
from vrestore.inference.plan import BlockPlan
from vrestore.inference.timeline import Timeline
from vrestore.inference.windows import Window, windows
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.request import Request
from vrestore.video import VideoReader


@dataclass(frozen=True)
class RestoredBlock:
    """Some frames of the output.

    Attributes:
        frames: (T, 3, H, W) float32 in [0, 1], on the CPU. T may be 0 at the end, where the frame rate is lowered.
        times: seconds, one a frame.
        frames_in: input frames that are done with; a window that comes out in pieces counts them with the first one.
        seconds: that the model took.
    """

    frames: Tensor
    times: list[Fraction]
    frames_in: int
    seconds: float


def restored_blocks(
    restorer: BaseRestorer,
    request: Request,
    reader: VideoReader,
    timeline: Timeline,
    plan: BlockPlan,
    progress: Callable[[float], None] = lambda frames: None,
) -> Iterator[RestoredBlock]:
    """Read, restore, and drop what was context only.

    Args:
        progress: told how many input frames are done, fractions included.

    Raises:
        MediaError: the clip cannot be read.
        RequestError: the restorer refuses, runs out of memory, or gives frames that are no numbers.
    """
    least = restorer.capabilities.least_frames
    read_frames = min(plan.block_frames, 64)  # while a large window fills up, no second one lies beside it
    origin: Fraction | None = None
    for window in windows(reader.blocks(read_frames), plan.block_frames, plan.overlap_frames, least, plan.multiple):
        origin = window.times[0] if origin is None else origin
        after = None if window.after is None else [window.after]
        known = timeline.regular([*window.times, *(after or [])], window.keep_start, origin)
        inner, ends = known[: window.keep_count], known[-1] if after else None
        kept, frames_in = _Kept(window, timeline.factor), window.keep_count
        with _telling(restorer, window, progress):
            for restored, seconds in _restore(restorer, request, window):
                frames, first = kept.take(restored)
                _check_numbers(frames, window)
                times = timeline.output_times(inner, ends, window.keep_start, first, len(frames))
                yield RestoredBlock(frames, times, frames_in, seconds)
                frames_in = 0
        kept.check()
        progress(window.keep_start + window.keep_count)


@contextmanager
def _telling(restorer: BaseRestorer, window: Window, progress: Callable[[float], None]) -> Iterator[None]:
    """Pass on what the restorer says of its progress within a window."""
    before = restorer.on_progress
    restorer.on_progress = lambda done: progress(window.keep_start + done * window.keep_count)
    try:
        yield
    finally:
        restorer.on_progress = before


def _check_numbers(frames: Tensor, window: Window) -> None:
    if not torch.isfinite(frames).all():
        last = window.keep_start + window.keep_count - 1
        raise RequestError(
            f"the model gave values that are no numbers (NaN) for input frames {window.keep_start} to {last}; "
            f"try precision='fp32' or other weights"
        )


def _restore(restorer: BaseRestorer, request: Request, window: Window) -> Iterator[tuple[Tensor, float]]:
    """The restored pieces of a window, on the CPU, and the seconds that each took."""
    try:
        started = time.perf_counter()
        for piece in restorer.stream(window.frames, request):
            yield piece.cpu(), time.perf_counter() - started
            started = time.perf_counter()
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        t, _, h, w = window.frames.shape
        raise RequestError(
            f"there is not enough memory to restore {t} frames of {w}x{h} at once; ask for fewer (block_frames=…), "
            f"for smaller frames or for a lower scale"
        ) from error


class _Kept:
    """Cuts what is kept out of a window's restored pieces.

    Output number k belongs to the input at ``floor(k / factor)``.
    """

    def __init__(self, window: Window, factor: Fraction):
        self.window, self.factor = window, factor
        self.begin = math.ceil(window.start * factor)  # number of the window's first output in the whole
        behind = window.keep_start + window.keep_count
        self.first = math.ceil(window.keep_start * factor) - self.begin
        self.stop = (max(round(behind * factor), 1) if window.is_last else math.ceil(behind * factor)) - self.begin
        self.given = 0

    def take(self, piece: Tensor) -> tuple[Tensor, int]:
        """The kept frames of the next piece, and the number of the first of them in the whole output."""
        low = min(max(self.first - self.given, 0), len(piece))
        number = self.begin + self.given + low
        frames = piece[low : max(self.stop - self.given, low)]
        self.given += len(piece)
        return frames, number

    def check(self) -> None:
        """Refuse a restorer that gave too few frames; some models end on the last input frame, which is right."""
        short = self.given < (self.first if self.window.is_last else self.stop)
        if short or (self.first >= self.stop and not self.window.is_last):
            raise RequestError(
                f"the model gave {self.given} frames for {len(self.window.frames)} at {float(self.factor):g} times the "
                f"frame rate, which is too few to go on with"
            )
