"""Sub-pixel upsampling."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class PixelShufflePack(nn.Module):
    """A 3x3 convolution to ``out_channels * factor**2`` channels, then pixel shuffle (ESPCN, arXiv 1609.05158).

    Args:
        in_channels: channels in.
        out_channels: channels out.
        factor: upsampling factor.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2):
        super().__init__()
        self.factor = factor
        self.upsample_conv = nn.Conv2d(in_channels, out_channels * factor**2, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.upsample_conv(x), self.factor)
