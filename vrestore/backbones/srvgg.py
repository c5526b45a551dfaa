"""SRVGGNetCompact, Real-ESRGAN's small network (animevideov3, general-x4v3), with the names of BasicSR."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import BACKBONES

ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "prelu": lambda channels: nn.PReLU(num_parameters=channels),
    "relu": lambda channels: nn.ReLU(inplace=True),
    "leakyrelu": lambda channels: nn.LeakyReLU(negative_slope=0.1, inplace=True),
}


@BACKBONES.register_module()
class SRVGGNetCompact(nn.Module):
    """A plain stack of convolutions at the small size, then pixel shuffle, added to the image repeated in space.

    Args:
        in_channels, out_channels: of the image; they must be the same, for the image is added to the result.
        mid_channels: feature channels (official: 64).
        num_convs: convolutions between the first and the last (official: 16 or 32).
        upscale_factor: any whole factor.
        act_type: ``prelu`` (every official release), ``relu`` or ``leakyrelu``.

    Raises:
        ConfigError: an unknown activation, or unlike channels.
    """

    input = "image"

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 64,
        num_convs: int = 16,
        upscale_factor: int = 4,
        act_type: str = "prelu",
    ):
        super().__init__()
        if act_type not in ACTIVATIONS:
            raise ConfigError(f"SRVGGNetCompact: act_type must be one of {', '.join(ACTIVATIONS)}, got {act_type!r}")
        if in_channels != out_channels:
            raise ConfigError(
                f"SRVGGNetCompact adds the image to its result: in_channels={in_channels} and "
                f"out_channels={out_channels} must be the same"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale = upscale_factor
        self.tile_overlap_px = num_convs + 2  # exactly how far its convolutions see
        layers: list[nn.Module] = []
        for i in range(num_convs + 1):
            layers.append(nn.Conv2d(mid_channels if i else in_channels, mid_channels, 3, 1, 1))
            layers.append(ACTIVATIONS[act_type](mid_channels))
        layers.append(nn.Conv2d(mid_channels, out_channels * upscale_factor**2, 3, 1, 1))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample images.

        Args:
            x: images (N, C, h, w) in [0, 1].

        Returns:
            Images (N, C, scale h, scale w), not clamped.
        """
        base = F.interpolate(x, scale_factor=float(self.scale), mode="nearest")
        return F.pixel_shuffle(self.body(x), self.scale) + base
