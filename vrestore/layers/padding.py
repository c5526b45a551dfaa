"""Padding frames to sides that a network can take."""

from __future__ import annotations

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
