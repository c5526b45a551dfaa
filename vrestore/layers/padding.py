"""Padding clips to the sides and the number of frames that a network can take."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(frames_TCHW: Tensor, multiple: int) -> Tensor:
    """Pad right and bottom up to a multiple by mirroring; sides shorter than the padding repeat their last pixel."""
    h, w = frames_TCHW.shape[-2:]
    down, right = -h % multiple, -w % multiple
    if not down and not right:
        return frames_TCHW
    mode = "reflect" if down < h and right < w else "replicate"
    return F.pad(frames_TCHW, (0, right, 0, down), mode=mode)


def pad_to_size(frames_TCHW: Tensor, height: int, width: int) -> Tensor:
    """Pad right and bottom by mirroring as far as a side reaches, and from there on by repeating the last pixel.

    Each side for itself, so that a frame smaller than what is added to it still continues like a picture.
    """
    h, w = frames_TCHW.shape[-2:]
    down, right = height - h, width - w
    mirrored = (0, min(right, w - 1), 0, min(down, h - 1))
    rest = (0, right - mirrored[1], 0, down - mirrored[3])
    for padding, mode in ((mirrored, "reflect"), (rest, "replicate")):
        if any(padding):
            frames_TCHW = F.pad(frames_TCHW, padding, mode=mode)
    return frames_TCHW


def pad_frames_to_multiple(frames_TCHW: Tensor, multiple: int) -> Tensor:
    """Add frames at the end up to a multiple, as if the clip ran back from its last frame, and forth again."""
    t = len(frames_TCHW)
    if not t % multiple:
        return frames_TCHW
    there_and_back = [*range(t), *range(t - 2, 0, -1)]
    added = [there_and_back[i % len(there_and_back)] for i in range(t, t + -t % multiple)]
    return torch.cat([frames_TCHW, frames_TCHW[added]])
