"""Filtering frames with small kernels, one for all frames or one a frame."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import BLOCK_FRAMES

SEPARATE_FROM = 9  # two passes of this many taps and more are quicker than one pass of their square


def filter_frames(frames_TCHW: Tensor, kernels: np.ndarray, separable: bool = False) -> Tensor:
    """Correlate each frame with its kernel; borders are mirrored without repeating the edge.

    Args:
        frames_TCHW: any range.
        kernels: (T, k, k) or (1, k, k), k odd.
        separable: whether every kernel is the outer product of its column and row sums (a circular Gaussian of sum 1
            is); such ones are applied in two passes.

    Returns:
        (T, C, H, W), not clamped.
    """
    side = kernels.shape[-1]
    weights = torch.from_numpy(np.ascontiguousarray(kernels)).to(frames_TCHW.device, frames_TCHW.dtype)
    weights = weights.expand(len(frames_TCHW), -1, -1)
    if separable and side >= SEPARATE_FROM:
        parts = [weights.sum(2)[:, :, None], weights.sum(1)[:, None, :]]
    else:
        parts = [weights]
    blocks = []
    for start in range(0, len(frames_TCHW), BLOCK_FRAMES):  # bounds the memory of the bordered copy
        chosen = slice(start, start + BLOCK_FRAMES)
        block = frames_TCHW[chosen]
        count, channels = block.shape[:2]
        planes = mirrored(block, side // 2).flatten(0, 1)[None]
        for part in parts:
            taps = part[chosen].repeat_interleave(channels, 0)[:, None]
            planes = F.conv2d(planes, taps, groups=count * channels)
        blocks.append(planes.view_as(block))
    return torch.cat(blocks)


def mirrored(frames: Tensor, margin: int) -> Tensor:
    """The frames (N, C, H, W) with a mirrored border of `margin` pixels, also where a side is shorter than it."""
    height, width = frames.shape[-2:]
    if margin < min(height, width):
        return F.pad(frames, (margin,) * 4, mode="reflect")
    for dim, side in ((-2, height), (-1, width)):
        period = max(2 * (side - 1), 1)
        index = np.abs(np.arange(-margin, side + margin)) % period
        index = np.minimum(index, period - index) if side > 1 else np.zeros_like(index)
        frames = frames.index_select(dim, torch.from_numpy(index).to(frames.device))
    return frames
