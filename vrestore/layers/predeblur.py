"""The predeblur module of EDVR (Wang et al., CVPRW 2019, arXiv 1905.02716), with the parameter names of BasicSR."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.pcd_alignment import upsample2x
from vrestore.layers.residual import ResidualBlockNoBN, he_init


class Predeblur(nn.Module):
    """Frames -> features without blur, over a pyramid of three levels.

    Args:
        in_channels: channels of the frames.
        mid_channels: feature channels.
        hr_in: the frames have the output's size; two strided convolutions bring the features to a quarter of it.
    """

    def __init__(self, in_channels: int = 3, mid_channels: int = 64, hr_in: bool = False):
        super().__init__()
        c = mid_channels
        self.hr_in = hr_in
        self.conv_first = nn.Conv2d(in_channels, c, 3, 1, 1)
        if hr_in:
            self.stride_conv_hr1 = nn.Conv2d(c, c, 3, 2, 1)
            self.stride_conv_hr2 = nn.Conv2d(c, c, 3, 2, 1)
        self.stride_conv_l2 = nn.Conv2d(c, c, 3, 2, 1)
        self.stride_conv_l3 = nn.Conv2d(c, c, 3, 2, 1)
        for layer in tuple(self.children()):
            he_init(layer, slope=0.1)
        self.resblock_l3 = ResidualBlockNoBN(c)
        self.resblock_l2_1 = ResidualBlockNoBN(c)
        self.resblock_l2_2 = ResidualBlockNoBN(c)
        self.resblock_l1 = nn.ModuleList(ResidualBlockNoBN(c) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        """Frames (N, in_channels, H, W), sides multiples of 4, or of 16 with `hr_in` -> features (N, C, H, W), or of a
        quarter of the sides with `hr_in`."""
        level1 = _lrelu(self.conv_first(x))
        if self.hr_in:
            level1 = _lrelu(self.stride_conv_hr2(_lrelu(self.stride_conv_hr1(level1))))
        level2 = _lrelu(self.stride_conv_l2(level1))
        level3 = _lrelu(self.stride_conv_l3(level2))
        level2 = self.resblock_l2_1(level2) + upsample2x(self.resblock_l3(level3))
        level2 = upsample2x(self.resblock_l2_2(level2))
        for i, block in enumerate(self.resblock_l1):
            level1 = block(level1)
            if i == 1:
                level1 = level1 + level2
        return level1


def _lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1, inplace=True)
