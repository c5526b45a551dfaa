"""Windows: a stream of frame blocks as overlapping windows for a restorer that looks at neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from vrestore.video import FrameBlock


@dataclass(frozen=True)
class Window:
    """A run of frames to restore, of which a part is kept.

    Attributes:
        frames: (T, 3, H, W) float32 RGB: context before, the kept frames, context behind.
        start: number of the first frame, context included.
        keep_start: number of the first kept frame.
        keep_count: how many are kept.
        times: seconds of the kept frames.
        after: seconds of the frame behind the kept ones; None at the end of the clip.
    """

    frames: Tensor
    start: int
    keep_start: int
    keep_count: int
    times: list[Fraction]
    after: Fraction | None

    @property
    def is_last(self) -> bool:
        return self.after is None


def windows(
    blocks: Iterable[FrameBlock],
    keep_frames: int,
    overlap_frames: int,
    least_frames: int = 1,
    multiple: int = 1,
) -> Iterator[Window]:
    """Cut a stream of blocks into windows; every frame is kept by exactly one of them.

    Memory is bounded: at most one block beside a window is held.

    Args:
        blocks: consecutive blocks from frame 0 on.
        keep_frames: frames a window keeps; the last one keeps what is left. A multiple of `multiple`.
        overlap_frames: frames of context on either side, where the clip has them. A multiple of `multiple`.
        least_frames: a window that would be shorter takes more context, behind it or at the end of the clip before it.
        multiple: windows start at multiples of this.
    """
    # Frames before the kept ones that may be needed again.
    history = -(-max(overlap_frames, least_frames) // multiple) * multiple
    frames: Tensor | None = None
    times: list[Fraction] = []
    held_from = keep_from = 0  # numbers of the first held and of the first frame that no window has kept yet
    for block in blocks:
        frames = block.frames if frames is None else torch.cat((frames, block.frames))
        times += block.times
        while True:
            start = max(keep_from - overlap_frames, held_from)
            stop = max(keep_from + keep_frames + overlap_frames, start + least_frames)
            # One frame more than is kept must be there: its time says how long the last kept one is shown.
            if held_from + len(frames) < max(stop, keep_from + keep_frames + 1):
                break
            yield _window(frames, times, held_from, start, stop, keep_from, keep_frames, False)
            keep_from += keep_frames
            spare = max(keep_from - history - held_from, 0)
            frames, times, held_from = frames[spare:].clone(), times[spare:], held_from + spare
    if frames is None:
        return
    end = held_from + len(frames)
    if keep_from < end:
        start = max(min(keep_from - overlap_frames, end - least_frames), held_from)
        start -= start % multiple
        yield _window(frames, times, held_from, start, end, keep_from, end - keep_from, True)


def _window(
    frames: Tensor, times: list[Fraction], held_from: int, start: int, stop: int, keep: int, count: int, last: bool
) -> Window:
    first, behind = keep - held_from, keep + count - held_from
    return Window(
        frames=frames[start - held_from : stop - held_from],
        start=start,
        keep_start=keep,
        keep_count=count,
        times=times[first:behind],
        after=None if last else times[behind],
    )
