"""The VAE of Stable Video Diffusion, whose decoder looks at neighbouring frames, built from diffusers' classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vrestore.autoencoders.base import Autoencoder
from vrestore.autoencoders.sd_vae import LOG_VARIANCE
from vrestore.autoencoders.tiling import Tiling
from vrestore.errors import require
from vrestore.registry import AUTOENCODERS

# What VEnhancer's later release decodes in.
OFFICIAL = Tiling()


@AUTOENCODERS.register_module()
class TemporalVAE(Autoencoder):
    """`AutoencoderKLTemporalDecoder` (Stable Video Diffusion, arXiv 2311.15127): 97 742 847 parameters.

    Frames are encoded one by one; clips are decoded in overlapping windows and tiles. Weights have diffusers' names.

    Args:
        block_out_channels, layers_per_block, latent_channels, scale_factor, encode_tiling: see `SDVAE`.
        tiling: pieces in which clips are decoded. The default is that of VEnhancer's later release, tiles of 576 x 1024
            pixels and windows of 5 frames; None decodes the whole clip at once.

    Raises:
        MissingDependencyError: diffusers is not installed.
    """

    is_temporal = True

    def __init__(
        self,
        block_out_channels: Sequence[int] = (128, 256, 512, 512),
        layers_per_block: int = 2,
        latent_channels: int = 4,
        scale_factor: float = 0.18215,
        tiling: Tiling | Mapping[str, Any] | None = OFFICIAL,
        encode_tiling: Tiling | Mapping[str, Any] | None = None,
    ):
        super().__init__(scale_factor, tiling, encode_tiling)
        levels = len(block_out_channels)
        network = require("diffusers", "diffusion", "TemporalVAE").AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * levels,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            latent_channels=latent_channels,
        )
        self.encoder, self.decoder, self.quant_conv = network.encoder, network.decoder, network.quant_conv
        self.latent_channels = latent_channels
        self.downsample = 2 ** (levels - 1)

    def posterior_of(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.quant_conv(self.encoder(frames)).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def decode_raw(self, latents: Tensor) -> Tensor:
        batch, _, count = latents.shape[:3]
        flat = latents.transpose(1, 2).flatten(0, 1)
        images_only = torch.zeros(batch, count, dtype=flat.dtype, device=flat.device)  # none: it is a clip
        decoded = self.decoder(flat, image_only_indicator=images_only, num_frames=count)
        return decoded.unflatten(0, (batch, count)).transpose(1, 2)
