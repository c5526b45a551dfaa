"""Layers that treat each frame of a clip (B, T, C, H, W) alike."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class FrameConv(nn.Conv3d):
    """A convolution of every frame by itself, whose weights have the shape of a 3D one, (out, in, 1, k, k).

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: side of the kernel, odd; the sides of the frames stay.
        groups: groups of channels that do not see each other.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, groups: int = 1):
        padding = (0, kernel_size // 2, kernel_size // 2)
        super().__init__(in_channels, out_channels, (1, kernel_size, kernel_size), padding=padding, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, in, H, W) -> (B, T, out, H, W)."""
        half = self.kernel_size[-1] // 2
        y = F.conv2d(x.flatten(0, 1), self.weight.squeeze(2), self.bias, padding=half, groups=self.groups)
        return y.unflatten(0, x.shape[:2])


class ToChannelsLast(nn.Module):
    """(..., C, H, W) -> (..., H, W, C), as linear layers and norms take it."""

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(-3, -1)


class ToChannelsFirst(nn.Module):
    """(..., H, W, C) -> (..., C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(-1, -3)
