"""RGB clips to 8-bit 4:2:0 and back, all frames at once; the numbers of `video.colour` for BT.601 of limited range."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.video import chroma

LUMA = (0.299, 0.587, 0.114)
STEP = (2, 2)


def to_yuv420(frames_TCHW: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Code values of RGB frames in [0, 1] with even sides: luma uint8 (T, H, W) and chroma uint8 (T, 2, H/2, W/2)."""
    red, green, blue = frames_TCHW.clamp(0, 1).unbind(1)
    luma = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    differences = luma.new_empty(len(luma), 2, *luma.shape[1:])
    for plane, (colour, weight) in enumerate(((blue, LUMA[2]), (red, LUMA[0]))):
        torch.sub(colour, luma, out=differences[:, plane]).div_(2 - 2 * weight)
    small = chroma.reduce(differences.flatten(0, 1), STEP)
    small = small.view(len(frames_TCHW), 2, *small.shape[1:])
    return _codes(luma, 219, 16), _codes(small, 224, 128)


def to_rgb(luma_THW: np.ndarray, chroma_TCHW: np.ndarray) -> Tensor:
    """RGB frames (T, 3, H, W) float32 in [0, 1] of code values."""
    luma = torch.from_numpy(luma_THW).float().sub_(16).div_(219)
    small = torch.from_numpy(chroma_TCHW).float().sub_(128).div_(224)
    blue_part, red_part = small[:, 0] * (2 - 2 * LUMA[2]), small[:, 1] * (2 - 2 * LUMA[0])
    # The matrix is applied at chroma size and its result enlarged: the same numbers for less work.
    green_part = (blue_part * -LUMA[2]).sub_(red_part, alpha=LUMA[0]).div_(LUMA[1])
    offsets = torch.stack((red_part, green_part, blue_part), 1)
    rgb = torch.empty(len(luma), 3, *luma.shape[1:])
    size = (luma.shape[1], luma.shape[2])
    chroma.enlarge(offsets.flatten(0, 1), size, STEP, out=rgb.view(-1, *size))
    return rgb.add_(luma[:, None]).clamp_(0, 1)


def _codes(values: Tensor, span: float, zero: float) -> np.ndarray:
    return values.mul(span).add_(zero).round_().clamp_(0, 255).numpy().astype(np.uint8)
