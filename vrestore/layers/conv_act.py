"""A convolution and its activation under one name."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class ConvAct(nn.Module):
    """A convolution that keeps the sides (at stride 1), then leaky ReLU; the weights are named ``conv.*``.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: side of the kernel, odd.
        stride: step of the convolution.
        slope: negative slope of the activation; 0 is ReLU, None is no activation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, slope: float | None = 0.1
    ):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.slope is None:
            return x
        return F.leaky_relu(x, self.slope, inplace=True) if self.slope else F.relu(x, inplace=True)
