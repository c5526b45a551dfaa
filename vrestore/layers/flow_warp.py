"""Backward warping of an image by an optical flow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.memory_format import layout_of


def flow_warp(x: Tensor, flow: Tensor, interpolation: str = "bilinear", padding_mode: str = "zeros") -> Tensor:
    """Sample `x` at each pixel's own position moved by its flow (as in EDVR and BasicVSR: align_corners=True).

    Args:
        x: images or features (N, C, H, W).
        flow: displacements (N, H, W, 2) in pixels, the last axis (dx, dy).
        interpolation: ``bilinear`` or ``nearest``.
        padding_mode: what lies outside: ``zeros``, ``border`` or ``reflection``.

    Returns:
        Warped tensor (N, C, H, W) of x's dtype and memory format. Coordinates and blending are computed in float32 at
        least: half precision cannot tell neighbouring pixels apart in a large frame.

    Raises:
        ValueError: the sides of `x` and `flow` differ.
    """
    h, w = x.shape[-2:]
    if flow.shape[1:3] != (h, w):
        raise ValueError(f"x is {h}x{w} and flow is {flow.shape[1]}x{flow.shape[2]}; their sides must be equal")
    dtype = torch.promote_types(torch.promote_types(x.dtype, flow.dtype), torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        ys = torch.arange(h, device=x.device, dtype=dtype).view(1, h, 1)
        xs = torch.arange(w, device=x.device, dtype=dtype).view(1, 1, w)
        flow = flow.to(dtype)
        grid_x = 2.0 * (xs + flow[..., 0]) / max(w - 1, 1) - 1.0
        grid_y = 2.0 * (ys + flow[..., 1]) / max(h - 1, 1) - 1.0
        grid = torch.stack((grid_x, grid_y), dim=-1)
        warped = F.grid_sample(x.to(dtype), grid, mode=interpolation, padding_mode=padding_mode, align_corners=True)
    return warped.to(x.dtype).contiguous(memory_format=layout_of(x))
