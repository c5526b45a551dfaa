"""A tiny VAE for previews (TAESD), built from diffusers' classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vrestore.autoencoders.base import Autoencoder
from vrestore.autoencoders.tiling import Tiling
from vrestore.errors import require
from vrestore.registry import AUTOENCODERS


@AUTOENCODERS.register_module()
class TinyVAE(Autoencoder):
    """`AutoencoderTiny` (TAESD, madebyollin/taesd): 2.4 M parameters that decode the latents of `SDVAE` at a glance.

    Its latents are those of `SDVAE` as the diffusion model sees them, scaling included, so `scale_factor` is 1. The
    encoding is certain: there is nothing to sample.

    Args:
        channels: of every level; `downsample` is 2 ** (levels - 1).
        encoder_blocks, decoder_blocks: residual blocks of each level.
        latent_channels: of a latent.
        scale_factor, tiling, encode_tiling: see `Autoencoder`.

    Raises:
        MissingDependencyError: diffusers is not installed.
    """

    def __init__(
        self,
        channels: int = 64,
        encoder_blocks: Sequence[int] = (1, 3, 3, 3),
        decoder_blocks: Sequence[int] = (3, 3, 3, 1),
        latent_channels: int = 4,
        scale_factor: float = 1.0,
        tiling: Tiling | Mapping[str, Any] | None = None,
        encode_tiling: Tiling | Mapping[str, Any] | None = None,
    ):
        super().__init__(scale_factor, tiling, encode_tiling)
        network = require("diffusers", "diffusion", "TinyVAE").AutoencoderTiny(
            encoder_block_out_channels=(channels,) * len(encoder_blocks),
            decoder_block_out_channels=(channels,) * len(decoder_blocks),
            num_encoder_blocks=tuple(encoder_blocks),
            num_decoder_blocks=tuple(decoder_blocks),
            latent_channels=latent_channels,
        )
        self.encoder, self.decoder = network.encoder, network.decoder
        self.latent_channels = latent_channels
        self.downsample = 2 ** (len(encoder_blocks) - 1)

    def posterior_of(self, frames: Tensor) -> tuple[Tensor, None]:
        return self.encoder(frames), None

    def decode_raw(self, latents: Tensor) -> Tensor:
        frames = latents.transpose(1, 2).flatten(0, 1)
        decoded = torch.cat([self.decoder(z) for z in frames.split(1)])
        return decoded.unflatten(0, (latents.shape[0], latents.shape[2])).transpose(1, 2)
