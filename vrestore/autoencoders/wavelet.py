"""Haar wavelets as an autoencoder: smaller frames with more channels, and nothing lost."""

from __future__ import annotations

import torch
from torch import Tensor

from vrestore.autoencoders.base import Autoencoder
from vrestore.errors import ConfigError
from vrestore.registry import AUTOENCODERS


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

    Raises:
        ConfigError: less than one level.
    """

    def __init__(self, levels: int = 1, channels: int = 3, scale_factor: float = 1.0):
        super().__init__(scale_factor)
        if levels < 1:
            raise ConfigError(f"WaveletAutoencoder needs levels >= 1, got {levels}")
        self.levels = levels
        self.downsample = 2**levels
        self.frame_channels = channels
        self.latent_channels = channels * 4**levels

    def posterior_of(self, frames: Tensor) -> tuple[Tensor, None]:
        for _ in range(self.levels):
            frames = haar(frames)
        return frames, None

    def decode_raw(self, latents: Tensor) -> Tensor:
        frames = latents.transpose(1, 2).flatten(0, 1)
        for _ in range(self.levels):
            frames = inverse_haar(frames)
        return frames.unflatten(0, (latents.shape[0], latents.shape[2])).transpose(1, 2)


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
