"""RRDBNet of ESRGAN and Real-ESRGAN (arXiv 1809.00219, 2107.10833), with the names of BasicSR and MMagic."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError, RequestError
from vrestore.layers.residual import he_init
from vrestore.registry import BACKBONES

# By how much the frames are folded into channels before the trunk, which itself upsamples by 4.
FOLDS = {4: 1, 2: 2, 1: 4}
RESIDUAL_SCALE = 0.2
SLOPE = 0.2


@BACKBONES.register_module()
class RRDBNet(nn.Module):
    """Residual-in-residual dense blocks over one image, x4, x2 or x1.

    Args:
        in_channels, out_channels: of the image.
        mid_channels: feature channels (official: 64).
        num_blocks: residual-in-residual dense blocks (official: 23; anime: 6).
        growth_channels: channels that each convolution of a dense block adds (official: 32).
        upscale_factor: 4, 2 or 1. At 2 and 1 the sides must be multiples of 2 and 4.

    Raises:
        ConfigError: another factor.
    """

    input = "image"
    tile_overlap_px = 10  # what the official driver overlaps tiles by

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 64,
        num_blocks: int = 23,
        growth_channels: int = 32,
        upscale_factor: int = 4,
    ):
        super().__init__()
        if upscale_factor not in FOLDS:
            raise ConfigError(f"RRDBNet: upscale_factor must be 4, 2 or 1, got {upscale_factor!r}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale = upscale_factor
        self.size_multiple = FOLDS[upscale_factor]
        self.conv_first = nn.Conv2d(in_channels * self.size_multiple**2, mid_channels, 3, 1, 1)
        self.body = nn.Sequential(*(RRDB(mid_channels, growth_channels) for _ in range(num_blocks)))
        self.conv_body = nn.Conv2d(mid_channels, mid_channels, 3, 1, 1)
        self.conv_up1 = nn.Conv2d(mid_channels, mid_channels, 3, 1, 1)
        self.conv_up2 = nn.Conv2d(mid_channels, mid_channels, 3, 1, 1)
        self.conv_hr = nn.Conv2d(mid_channels, mid_channels, 3, 1, 1)
        self.conv_last = nn.Conv2d(mid_channels, out_channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample images.

        Args:
            x: images (N, C, h, w) in [0, 1].

        Returns:
            Images (N, C', scale h, scale w), not clamped.

        Raises:
            RequestError: the sides are no multiples of 2 (x2) or 4 (x1).
        """
        fold = self.size_multiple
        if x.shape[-2] % fold or x.shape[-1] % fold:
            raise RequestError(
                f"RRDBNet x{self.scale} takes images whose sides are multiples of {fold}, "
                f"got {x.shape[-1]}x{x.shape[-2]} (width x height); a restorer pads them"
            )
        first = self.conv_first(F.pixel_unshuffle(x, fold) if fold > 1 else x)
        features = first + self.conv_body(self.body(first))
        for convolution in (self.conv_up1, self.conv_up2):
            features = _leaky(convolution(F.interpolate(features, scale_factor=2, mode="nearest")))
        return self.conv_last(_leaky(self.conv_hr(features)))


class RRDB(nn.Module):
    """Three dense blocks, their result scaled and added to the input.

    Args:
        channels: feature channels in and out.
        growth: channels that each convolution of a dense block adds.
    """

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.rdb1 = ResidualDenseBlock(channels, growth)
        self.rdb2 = ResidualDenseBlock(channels, growth)
        self.rdb3 = ResidualDenseBlock(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        return self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL_SCALE + x


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each over the input and all that came before, their result scaled and added to the input.

    Args:
        channels: feature channels in and out.
        growth: channels that each of the first four convolutions adds.
    """

    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, growth, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels + growth, growth, 3, 1, 1)
        self.conv3 = nn.Conv2d(channels + 2 * growth, growth, 3, 1, 1)
        self.conv4 = nn.Conv2d(channels + 3 * growth, growth, 3, 1, 1)
        self.conv5 = nn.Conv2d(channels + 4 * growth, channels, 3, 1, 1)
        he_init(self, scale=0.1)

    def forward(self, x: Tensor) -> Tensor:
        known = x
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            known = torch.cat((known, _leaky(convolution(known))), dim=1)
        return self.conv5(known) * RESIDUAL_SCALE + x


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=True)
