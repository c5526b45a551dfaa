"""The VAE of Stable Diffusion 2.1, frame by frame, built from diffusers' classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vrestore.autoencoders.base import Autoencoder
from vrestore.autoencoders.tiling import Tiling
from vrestore.errors import ConfigError, require
from vrestore.registry import AUTOENCODERS

LOG_VARIANCE = (-30.0, 20.0)


@AUTOENCODERS.register_module()
class SDVAE(Autoencoder):
    """`AutoencoderKL` (arXiv 2112.10752) with the sizes of Stable Diffusion 2.1: 83 653 863 parameters.

    Weights have diffusers' names; `load_network` maps those of the original checkpoints
    (``v2-1_512-ema-pruned.ckpt``, ``first_stage_model.*``).

    Args:
        block_out_channels: channels of each level; `downsample` is 2 ** (levels - 1).
        layers_per_block: residual blocks of each level of the encoder; the decoder has one more.
        latent_channels: of a latent.
        norm_num_groups: groups of the normalisation.
        scale_factor, tiling, encode_tiling: see `Autoencoder`. Frames are decoded on their own, so windows of frames
            change nothing: `tiling` is needed where a single frame is too large.
        frames_per_call: frames decoded together.

    Raises:
        MissingDependencyError: diffusers is not installed.
    """

    def __init__(
        self,
        block_out_channels: Sequence[int] = (128, 256, 512, 512),
        layers_per_block: int = 2,
        latent_channels: int = 4,
        norm_num_groups: int = 32,
        scale_factor: float = 0.18215,
        tiling: Tiling | Mapping[str, Any] | None = None,
        encode_tiling: Tiling | Mapping[str, Any] | None = None,
        frames_per_call: int = 1,
    ):
        super().__init__(scale_factor, tiling, encode_tiling)
        if frames_per_call < 1:
            raise ConfigError(f"frames_per_call must be 1 or more, got {frames_per_call}")
        levels = len(block_out_channels)
        network = require("diffusers", "diffusion", "SDVAE").AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            latent_channels=latent_channels,
            norm_num_groups=norm_num_groups,
        )
        # The parts alone, so that weights have the names of diffusers' files.
        self.encoder, self.decoder = network.encoder, network.decoder
        self.quant_conv, self.post_quant_conv = network.quant_conv, network.post_quant_conv
        self.latent_channels = latent_channels
        self.downsample = 2 ** (levels - 1)
        self.frames_per_call = frames_per_call

    def posterior_of(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.quant_conv(self.encoder(frames)).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_VARIANCE)

    def decode_raw(self, latents: Tensor) -> Tensor:
        frames = latents.transpose(1, 2).flatten(0, 1)
        decoded = torch.cat([self.decoder(self.post_quant_conv(z)) for z in frames.split(self.frames_per_call)])
        return decoded.unflatten(0, (latents.shape[0], latents.shape[2])).transpose(1, 2)

    def decode_blocks(self, latents: Tensor, *, clamp: bool = True):
        """As `Autoencoder.decode_blocks`; frames that know nothing of each other come out a few at a time."""
        step = self.frames_per_call
        for start in range(0, latents.shape[2], step) if latents.ndim == 5 else ():
            yield from super().decode_blocks(latents[:, :, start : start + step], clamp=clamp)
        if latents.ndim != 5 or latents.shape[2] == 0:
            self._check_latents(latents)
