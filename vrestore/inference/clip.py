"""restore_clip: frames in memory in, restored frames out, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

from vrestore.inference.blocks import restored_blocks
from vrestore.inference.plan import plan_blocks
from vrestore.inference.timeline import Timeline
from vrestore.restorers.base import BaseRestorer, check_frames
from vrestore.restorers.request import Request
from vrestore.video import FrameBlock


def restore_clip(
    restorer: BaseRestorer, frames_TCHW: Tensor, request: Request | None = None, block_frames: int | None = None
) -> Tensor:
    """Restore a long clip within bounded memory: in blocks, with the context that the restorer's capabilities name.

    `restorer.restore` gives a network the whole clip; this gives it `block_frames` frames and
    `capabilities.chunk_overlap_frames` more on either side, as `restore_video` does for files. What the cut changes is
    told by `capabilities.chunk_drift_db`. A restorer whose result would change by more than it tells (it declares no
    overlap) sees the whole clip all the same.

    Args:
        restorer: what restores.
        frames_TCHW: float RGB frames (T, 3, H, W) in [0, 1], on any device; never changed.
        request: what is asked; None asks for the default.
        block_frames: frames restored at a time; None fits about half a gigabyte of frames.

    Returns:
        Restored frames (T', 3, H', W'), float32 in [0, 1], on the CPU.

    Raises:
        RequestError: as `BaseRestorer.restore`; or the whole clip is needed and the memory cannot hold it.
    """
    request = request or Request()
    check_frames(frames_TCHW)
    t, _, h, w = frames_TCHW.shape
    capabilities = restorer.capabilities
    capabilities.check(request, t, h, w)
    factor = Fraction(request.time_factor()).limit_denominator(10**6)
    height, width = restorer.output_size(request, h, w)
    bytes_a_frame = math.ceil(12 * (h * w + height * width * factor))  # 3 channels of float32
    plan = plan_blocks(capabilities, factor, t, bytes_a_frame, block_frames)
    one = Fraction(1)
    timeline = Timeline(factor, step=one, snap_within=Fraction(0), tick=one, fps=one)  # nobody asks for times here
    restored, done = torch.empty(0), 0
    for block in restored_blocks(restorer, request, _InMemory(frames_TCHW), timeline, plan):
        if not done:  # made once at its full length: pieces that are joined at the end would take twice as much
            restored = torch.empty(max(round(t * factor), len(block.frames)), *block.frames.shape[1:])
        restored[done : done + len(block.frames)] = block.frames
        done += len(block.frames)
    return restored[:done]


class _InMemory:
    """Frames as a source of blocks, one a second."""

    def __init__(self, frames_TCHW: Tensor):
        self.frames = frames_TCHW

    def blocks(self, frames: int, /) -> Iterator[FrameBlock]:
        for start in range(0, len(self.frames), frames):
            part = self.frames[start : start + frames].float()
            yield FrameBlock(part, [Fraction(start + i) for i in range(len(part))], start)
