"""The discriminator of Real-ESRGAN (Wang et al., ICCVW 2021, arXiv 2107.10833), also RealBasicVSR's."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import RequestError
from vrestore.layers.spectral_norm import SpectralNormConv2d
from vrestore.registry import BACKBONES

SLOPE = 0.2


@BACKBONES.register_module(name=["UNetDiscriminatorSN", "UNetDiscriminatorWithSpectralNorm"])
class UNetDiscriminatorSN(nn.Module):
    """A U-Net with spectral normalisation that judges every pixel: how real does it look?

    Its names are Real-ESRGAN's (``conv0`` … ``conv9``); MMagic's (``conv_0`` …) come in when weights are loaded.

    Args:
        in_channels: channels of the frames.
        mid_channels: channels of the features at full size; 2, 4 and 8 times as many at a half, a quarter, an eighth.
        skip_connection: add the features of the way down on the way up.
    """

    input = "judgement"  # no restorer runs it
    size_multiple = 8

    def __init__(self, in_channels: int = 3, mid_channels: int = 64, skip_connection: bool = True):
        super().__init__()
        c = mid_channels
        self.skip_connection = skip_connection
        self.conv0 = nn.Conv2d(in_channels, c, 3, 1, 1)
        self.conv1 = SpectralNormConv2d(c, c * 2, 4, 2, 1, bias=False)
        self.conv2 = SpectralNormConv2d(c * 2, c * 4, 4, 2, 1, bias=False)
        self.conv3 = SpectralNormConv2d(c * 4, c * 8, 4, 2, 1, bias=False)
        self.conv4 = SpectralNormConv2d(c * 8, c * 4, 3, 1, 1, bias=False)
        self.conv5 = SpectralNormConv2d(c * 4, c * 2, 3, 1, 1, bias=False)
        self.conv6 = SpectralNormConv2d(c * 2, c, 3, 1, 1, bias=False)
        self.conv7 = SpectralNormConv2d(c, c, 3, 1, 1, bias=False)
        self.conv8 = SpectralNormConv2d(c, c, 3, 1, 1, bias=False)
        self.conv9 = nn.Conv2d(c, 1, 3, 1, 1)

    def forward(self, frames_NCHW: Tensor) -> Tensor:
        """Judge frames.

        Args:
            frames_NCHW: frames (N, C, H, W), RGB in [0, 1]; H and W multiples of 8.

        Returns:
            Scores (N, 1, H, W) before any sigmoid: the larger, the more real.

        Raises:
            RequestError: a side that is no multiple of 8.
        """
        h, w = frames_NCHW.shape[-2:]
        if h % self.size_multiple or w % self.size_multiple:
            raise RequestError(f"the discriminator takes sides that are multiples of {self.size_multiple}, got {w}x{h}")
        x0 = F.leaky_relu(self.conv0(frames_NCHW), SLOPE)
        x1 = F.leaky_relu(self.conv1(x0), SLOPE)
        x2 = F.leaky_relu(self.conv2(x1), SLOPE)
        x = F.leaky_relu(self.conv3(x2), SLOPE)
        for conv, skip in ((self.conv4, x2), (self.conv5, x1), (self.conv6, x0)):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(conv(x), SLOPE)
            x = x + skip if self.skip_connection else x
        x = F.leaky_relu(self.conv7(x), SLOPE)
        x = F.leaky_relu(self.conv8(x), SLOPE)
        return self.conv9(x)
