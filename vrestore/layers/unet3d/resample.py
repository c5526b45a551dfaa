"""Halving and doubling features, with the lopsided borders of the release: heights of 2 mod 2ⁿ, widths of 0 mod 2ⁿ."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class Downsample(nn.Module):
    """A 3x3 convolution of stride 2: (N, C, H, W) -> (N, C, (H+1)//2 + 1, (W-1)//2 + 1).

    Two rows of zeros above and below and one column at each side: weights depend on it.

    Args:
        channels: feature channels in and out.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] <= 2:
            # In half precision on a CPU, oneDNN's strided convolutions read memory of others for outputs of one column
            # (seen with torch 2.13 on AMX); two columns more give two outputs, of which the second is dropped.
            return self.op(F.pad(x, (0, 2)))[..., :1]
        return self.op(x)


class Upsample(nn.Module):
    """Nearest neighbours, first and last row dropped, a 3x3 convolution: (N, C, H, W) -> (N, C, 2H - 2, 2W).

    Args:
        channels: feature channels in and out.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest")[..., 1:-1, :])


def least_legal_size(height: int, width: int, halvings: int) -> tuple[int, int]:
    """The smallest latent height and width that hold the given ones and come back unchanged from `halvings` levels.

    Each level maps h to h/2 + 1 and back to 2h - 2, so that h - 2 must be a multiple of 2**halvings, and w itself.
    """
    step = 2**halvings
    if halvings == 0:
        return height, width
    return max(-(-(height - 2) // step), 1) * step + 2, max(-(-width // step), 1) * step
