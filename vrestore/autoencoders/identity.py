"""No autoencoder at all: the diffusion model works on pixels."""

from __future__ import annotations

from torch import Tensor

from vrestore.autoencoders.base import Autoencoder
from vrestore.registry import AUTOENCODERS


@AUTOENCODERS.register_module()
class IdentityAutoencoder(Autoencoder):
    """Latents are the frames in [-1, 1] times `scale_factor`; for small models and for tests.

    Args:
        channels: of a frame, and of a latent.
        scale_factor: see `Autoencoder`.
    """

    downsample = 1

    def __init__(self, channels: int = 3, scale_factor: float = 1.0):
        super().__init__(scale_factor)
        self.frame_channels = self.latent_channels = channels

    def posterior_of(self, frames: Tensor) -> tuple[Tensor, None]:
        return frames, None

    def decode_raw(self, latents: Tensor) -> Tensor:
        return latents
