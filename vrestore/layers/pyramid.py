"""Deformable alignment over a pyramid of three scales (PCD without cascade), as Zooming Slow-Mo has it.

Both of two neighbours are aligned to what lies between them; parameters end in ``_1`` for the first and ``_2`` for the
second, as in the release.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.deform_conv_pack import ModulatedDeformConvPack

SLOPE = 0.1


def lrelu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=True)


class FeaturePyramid(nn.Module):
    """Features at three scales, each half the size of the one before.

    Args:
        channels: feature channels.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.fea_L2_conv1 = nn.Conv2d(channels, channels, 3, 2, 1)
        self.fea_L2_conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.fea_L3_conv1 = nn.Conv2d(channels, channels, 3, 2, 1)
        self.fea_L3_conv2 = nn.Conv2d(channels, channels, 3, 1, 1)

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """[(N, C, H, W), (N, C, H/2, W/2), (N, C, H/4, W/4)] of features (N, C, H, W)."""
        level2 = lrelu(self.fea_L2_conv2(lrelu(self.fea_L2_conv1(x))))
        level3 = lrelu(self.fea_L3_conv2(lrelu(self.fea_L3_conv1(level2))))
        return [x, level2, level3]


class PyramidFusion(FeaturePyramid):
    """Two feature maps aligned to each other and fused into one (in the release: ``Easy_PCD``).

    Args:
        channels: feature channels.
        deform_groups: groups of channels that share an offset.
    """

    def __init__(self, channels: int, deform_groups: int):
        super().__init__(channels)
        self.pcd_align = MutualAlignment(channels, deform_groups)
        self.fusion = nn.Conv2d(2 * channels, channels, 1, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(N, C, H, W) of two of that shape."""
        return self.fusion(self.pcd_align(self.pyramid(first), self.pyramid(second)))


class MutualAlignment(nn.Module):
    """Align two pyramids of features to each other, coarse to fine.

    Args:
        channels: feature channels.
        deform_groups: groups of channels that share an offset.
    """

    def __init__(self, channels: int, deform_groups: int):
        super().__init__()
        for side in (1, 2):
            for level in (3, 2, 1):
                self.add_module(f"L{level}_offset_conv1_{side}", nn.Conv2d(2 * channels, channels, 3, 1, 1))
                width = channels if level == 3 else 2 * channels
                self.add_module(f"L{level}_offset_conv2_{side}", nn.Conv2d(width, channels, 3, 1, 1))
                if level < 3:
                    self.add_module(f"L{level}_offset_conv3_{side}", nn.Conv2d(channels, channels, 3, 1, 1))
                self.add_module(f"L{level}_dcnpack_{side}", _deform_conv(channels, deform_groups))
                if level < 3:
                    self.add_module(f"L{level}_fea_conv_{side}", nn.Conv2d(2 * channels, channels, 3, 1, 1))

    def forward(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Both aligned (N, 2C, H, W), of pyramids as `FeaturePyramid` makes them."""
        return torch.cat([self._align(first, second, 1), self._align(second, first, 2)], 1)

    def _align(self, moved: list[Tensor], other: list[Tensor], side: int) -> Tensor:
        offset, features = moved[0], moved[0]
        for level in (3, 2, 1):
            here, there = moved[level - 1], other[level - 1]
            below, features_below = offset, features
            offset = lrelu(getattr(self, f"L{level}_offset_conv1_{side}")(torch.cat([here, there], 1)))
            if level == 3:
                offset = lrelu(getattr(self, f"L3_offset_conv2_{side}")(offset))
                features = lrelu(getattr(self, f"L3_dcnpack_{side}")(here, offset))
                continue
            # offsets of the coarser scale are in its pixels, two of ours each
            offset = torch.cat([offset, _double(below) * 2], 1)
            offset = lrelu(getattr(self, f"L{level}_offset_conv2_{side}")(offset))
            offset = lrelu(getattr(self, f"L{level}_offset_conv3_{side}")(offset))
            features = torch.cat([getattr(self, f"L{level}_dcnpack_{side}")(here, offset), _double(features_below)], 1)
            features = getattr(self, f"L{level}_fea_conv_{side}")(features)
            if level == 2:
                features = lrelu(features)
        return features


def _deform_conv(channels: int, deform_groups: int) -> ModulatedDeformConvPack:
    return ModulatedDeformConvPack(channels, channels, deform_groups, offset_name="conv_offset_mask")


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
