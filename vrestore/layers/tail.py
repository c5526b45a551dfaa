"""The last layers that EDVR, BasicVSR and their kin share: features -> a frame of four times the sides."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.residual import he_init
from vrestore.layers.upsample import PixelShufflePack


class UpsamplingTail(nn.Module):
    """Base class of networks with this tail: its layers stand beside their own, as in the official releases.

    Two sub-pixel upsamplings, two convolutions, and a base image that the result is added to. A subclass calls
    `_add_tail` where it makes its layers.
    """

    upsample1: PixelShufflePack
    upsample2: PixelShufflePack
    conv_hr: nn.Conv2d
    conv_last: nn.Conv2d

    def _add_tail(self, mid_channels: int, hr_channels: int = 64, out_channels: int = 3) -> None:
        """Make the layers. They start at the base image exactly.

        A last layer that starts with random weights adds noise which the first steps remove by silencing the features
        below it, and training then stands still for hundreds of steps.
        """
        self.upsample1 = PixelShufflePack(mid_channels, mid_channels)
        self.upsample2 = PixelShufflePack(mid_channels, hr_channels)
        self.conv_hr = nn.Conv2d(hr_channels, hr_channels, 3, 1, 1)
        self.conv_last = nn.Conv2d(hr_channels, out_channels, 3, 1, 1)
        for part in (self.upsample1, self.upsample2, self.conv_hr):
            he_init(part, slope=0.1)
        he_init(self.conv_last, scale=0.0)

    def _tail(self, features: Tensor, base: Tensor) -> Tensor:
        """Features (N, mid_channels, h, w) and the base image (N, out_channels, 4h, 4w) -> (N, out_channels, 4h, 4w)."""
        x = F.leaky_relu(self.upsample1(features), 0.1, inplace=True)
        x = F.leaky_relu(self.upsample2(x), 0.1, inplace=True)
        x = F.leaky_relu(self.conv_hr(x), 0.1, inplace=True)
        return self.conv_last(x).to(base.dtype) + base


def bilinear_x4(frame: Tensor) -> Tensor:
    """Frames (N, C, h, w), four times as large (align_corners=False): the base of super-resolution."""
    return F.interpolate(frame, scale_factor=4, mode="bilinear", align_corners=False)
