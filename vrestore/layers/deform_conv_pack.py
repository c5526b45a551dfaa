"""A modulated deformable convolution that makes its own offsets and mask from a second feature (EDVR and others)."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.deform_conv import modulated_deform_conv2d
from vrestore.layers.residual import he_init


class ModulatedDeformConvPack(nn.Module):
    """DCNv2 with kernel 3 whose offsets and mask come from a feature of their own.

    A 3x3 convolution of the offset feature gives, for each group, 9 offsets (dy, dx) and 9 values whose sigmoid weighs
    the samples. It starts at zero: a plain convolution of half the strength.

    Args:
        in_channels: channels of the features, and of the offset feature.
        out_channels: channels out.
        deform_groups: groups of channels that share their offsets; it must divide `in_channels`.
        offset_name: of the convolution that gives offsets and mask, beside the parameters `weight` and `bias`; releases
            differ in it.

    Raises:
        ConfigError: the groups do not divide the channels.
    """

    def __init__(self, in_channels: int, out_channels: int, deform_groups: int = 8, offset_name: str = "conv_offset"):
        super().__init__()
        if deform_groups < 1 or in_channels % deform_groups:
            raise ConfigError(f"deform_groups={deform_groups} must divide the {in_channels} feature channels")
        self.deform_groups = deform_groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.offset_name = offset_name
        conv_offset = nn.Conv2d(in_channels, 27 * deform_groups, 3, 1, 1)
        self.add_module(offset_name, conv_offset)
        nn.init.kaiming_normal_(self.weight, a=0.1, mode="fan_in")
        he_init(conv_offset, scale=0.0)

    def forward(self, x: Tensor, offset_feature: Tensor) -> Tensor:
        """Features (N, C, H, W) and the offset feature of the same shape -> (N, out_channels, H, W)."""
        moves = getattr(self, self.offset_name)(offset_feature)
        offset, mask = moves.split((18 * self.deform_groups, 9 * self.deform_groups), dim=1)
        return modulated_deform_conv2d(
            x, offset, mask.sigmoid(), self.weight, self.bias, padding=1, deform_groups=self.deform_groups
        )
