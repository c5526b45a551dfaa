"""Haar wavelets as an autoencoder: smaller frames with more channels, and nothing lost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.autoencoders.base import Autoencoder
from vrestore.errors import ConfigError
from vrestore.registry import AUTOENCODERS

COLOURS = ("rgb", "ycbcr420")
LUMA = (0.299, 0.587, 0.114)  # BT.601


@AUTOENCODERS.register_module()
class WaveletAutoencoder(Autoencoder):
    """Orthonormal 2-D Haar wavelets (Haar 1910), applied `levels` times to all bands; it has no weights.

    Every step only adds and halves, so decoding gives back the frames, up to the last bit of float32. For small models
    that work on pixels but should see no more than a fraction of the positions, and for tests.

    Args:
        levels: `downsample` is 2 ** levels, `latent_channels` is channels * 4 ** levels.
        channels: of a frame.
        scale_factor: see `Autoencoder`; with the default a grey frame of value v in [-1, 1] has the mean band
            v * 2 ** levels.
        colour: ``rgb``, or ``ycbcr420``: luma, and two colour differences at half the size, as nearly all video is
            stored (BT.601); half as many latent channels, 4 ** levels + 2 * 4 ** (levels - 1), luma first. Colour
            detail below that size is lost.
        band_std: standard deviation of every latent channel, which is divided by it (and by `scale_factor` multiplied).
            Fine bands of footage are a hundred times weaker than the mean; a diffusion model, whose noise is as strong
            in all of them, learns them only where they are brought to one height.

    Raises:
        ConfigError: less than one level, another colour or number of channels, or deviations that are no positive
            numbers, one a channel.
    """

    band_std: Tensor

    def __init__(
        self,
        levels: int = 1,
        channels: int = 3,
        scale_factor: float = 1.0,
        colour: str = "rgb",
        band_std: Sequence[float] | None = None,
    ):
        super().__init__(scale_factor)
        if levels < 1:
            raise ConfigError(f"WaveletAutoencoder needs levels >= 1, got {levels}")
        if colour not in COLOURS:
            raise ConfigError(f"WaveletAutoencoder: colour must be one of {', '.join(COLOURS)}, got {colour!r}")
        if colour != "rgb" and channels != 3:
            raise ConfigError(f"WaveletAutoencoder: colour={colour!r} is for frames of 3 channels, got {channels}")
        self.levels = levels
        self.downsample = 2**levels
        self.frame_channels = channels
        self.colour = colour
        self.luma_channels = 4**levels
        self.latent_channels = channels * 4**levels if colour == "rgb" else 4**levels + 2 * 4 ** (levels - 1)
        deviations = [1.0] * self.latent_channels if band_std is None else [float(std) for std in band_std]
        if len(deviations) != self.latent_channels or not all(std > 0 for std in deviations):
            raise ConfigError(
                f"WaveletAutoencoder: band_std must be {self.latent_channels} numbers above 0, one a latent channel; "
                f"got {len(deviations)}: {deviations}"
            )
        self.register_buffer("band_std", torch.tensor(deviations).view(-1, 1, 1), persistent=False)

    def posterior_of(self, frames: Tensor) -> tuple[Tensor, None]:
        if self.colour == "rgb":
            bands = self._analyse(frames, self.levels)
        else:
            luma, differences = to_ycbcr(frames)
            small = F.avg_pool2d(differences, 2)
            bands = torch.cat([self._analyse(luma, self.levels), self._analyse(small, self.levels - 1)], dim=1)
        return bands / self.band_std, None

    def decode_raw(self, latents: Tensor) -> Tensor:
        bands = latents.transpose(1, 2).flatten(0, 1) * self.band_std
        if self.colour == "rgb":
            frames = self._synthesise(bands, self.levels)
        else:
            luma, small = bands.split([self.luma_channels, bands.shape[1] - self.luma_channels], dim=1)
            small = self._synthesise(small, self.levels - 1)
            differences = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
            frames = from_ycbcr(self._synthesise(luma, self.levels), differences)
        return frames.unflatten(0, (latents.shape[0], latents.shape[2])).transpose(1, 2)

    @staticmethod
    def _analyse(x: Tensor, levels: int) -> Tensor:
        for _ in range(levels):
            x = haar(x)
        return x

    @staticmethod
    def _synthesise(x: Tensor, levels: int) -> Tensor:
        for _ in range(levels):
            x = inverse_haar(x)
        return x


def to_ycbcr(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Luma (N, 1, H, W) and the blue and red colour difference (N, 2, H, W), as wide as the RGB (N, 3, H, W) is."""
    red, green, blue = rgb.unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    differences = [(blue - luma) / (2 - 2 * LUMA[2]), (red - luma) / (2 - 2 * LUMA[0])]
    return luma[:, None], torch.stack(differences, dim=1)


def from_ycbcr(luma: Tensor, differences: Tensor) -> Tensor:
    """What `to_ycbcr` was given."""
    y = luma[:, 0]
    blue = y + (2 - 2 * LUMA[2]) * differences[:, 0]
    red = y + (2 - 2 * LUMA[0]) * differences[:, 1]
    green = (y - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], dim=1)


def haar(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 4 C, H / 2, W / 2): mean, horizontal, vertical and diagonal detail of every 2 x 2 block."""
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    top, bottom, top_detail, bottom_detail = a + b, c + d, a - b, c - d
    bands = [top + bottom, top_detail + bottom_detail, top - bottom, top_detail - bottom_detail]
    return torch.cat(bands, dim=1) / 2


def inverse_haar(x: Tensor) -> Tensor:
    """What `haar` was given."""
    mean, horizontal, vertical, diagonal = x.chunk(4, dim=1)
    top, bottom = mean + vertical, mean - vertical
    top_detail, bottom_detail = horizontal + diagonal, horizontal - diagonal
    frames = x.new_empty(x.shape[0], x.shape[1] // 4, x.shape[2] * 2, x.shape[3] * 2)
    frames[..., ::2, ::2] = (top + top_detail) / 2
    frames[..., ::2, 1::2] = (top - top_detail) / 2
    frames[..., 1::2, ::2] = (bottom + bottom_detail) / 2
    frames[..., 1::2, 1::2] = (bottom - bottom_detail) / 2
    return frames
