"""BT.601 luma and YCbCr as the super-resolution papers measure them (MATLAB's `rgb2ycbcr`, 16 to 235)."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows give Y, Cb and Cr in code values 0..255 for R, G, B in [0, 1] (ITU-R BT.601, limited range).
RGB_TO_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
YCBCR_OFFSET = (16.0, 128.0, 128.0)
# The way back as the official code rounds it: R, G, B in code values from Y, Cb, Cr in code values.
YCBCR_TO_RGB = ((0.00456621, 0.0, 0.00625893), (0.00456621, -0.00153632, -0.00318811), (0.00456621, 0.00791071, 0.0))
RGB_OFFSET = (-222.921, 135.576, -276.836)


def rgb_to_y(frames: Tensor) -> Tensor:
    """Luma of RGB frames.

    Args:
        frames: (..., 3, H, W), RGB in [0, 1], floating point.

    Returns:
        (..., 1, H, W) in [16/255, 235/255], same dtype, not rounded.
    """
    weights = frames.new_tensor(RGB_TO_YCBCR[0]) / 255
    return _mix(frames, weights[None], frames.new_tensor(YCBCR_OFFSET[:1]) / 255)


def rgb_to_ycbcr(frames: Tensor) -> Tensor:
    """RGB (..., 3, H, W) in [0, 1] to YCbCr in [16/255, 240/255], same dtype, not rounded."""
    return _mix(frames, frames.new_tensor(RGB_TO_YCBCR) / 255, frames.new_tensor(YCBCR_OFFSET) / 255)


def ycbcr_to_rgb(frames: Tensor) -> Tensor:
    """The way back from `rgb_to_ycbcr`, to 2e-5; colours outside the RGB cube leave [0, 1]."""
    return _mix(frames, frames.new_tensor(YCBCR_TO_RGB) * 255, frames.new_tensor(RGB_OFFSET) / 255)


def _mix(frames: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    # One multiply-add a term, in a fixed order: the result depends on neither the frame count nor the thread count.
    planes = frames.unbind(-3)
    rows = [sum(plane * weight for plane, weight in zip(planes, row, strict=True)) for row in matrix]
    return torch.stack([row + shift for row, shift in zip(rows, offset, strict=True)], dim=-3)  # type: ignore[operator]
