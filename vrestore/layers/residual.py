"""Residual blocks without normalisation, the trunk of most video super-resolution networks (EDSR, EDVR, BasicVSR)."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class ResidualBlockNoBN(nn.Module):
    """``x + conv2(relu(conv1(x)))`` with 3x3 convolutions.

    Args:
        channels: feature channels in and out.
    """

    def __init__(self, channels: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        he_init(self, scale=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))


class ResidualBlocksWithInputConv(nn.Module):
    """A 3x3 convolution, leaky ReLU 0.1, then `num_blocks` residual blocks (names ``main.0``, ``main.2.{i}``).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the features.
        num_blocks: number of residual blocks.
    """

    def __init__(self, in_channels: int, out_channels: int = 64, num_blocks: int = 30):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, 1, 1),
            nn.LeakyReLU(negative_slope=0.1, inplace=True),
            nn.Sequential(*(ResidualBlockNoBN(out_channels) for _ in range(num_blocks))),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


def he_init(module: nn.Module, scale: float = 1.0, slope: float = 0.0) -> None:
    """He initialisation of every convolution, zero bias.

    Args:
        module: a network or a part of one.
        scale: factor of the weights; 0.1 on residual branches lets deep stacks start near the identity (ESRGAN).
        slope: negative slope of the activation that follows.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=slope, mode="fan_in")
            layer.weight.data.mul_(scale)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
