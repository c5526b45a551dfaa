"""Random numbers of a restored clip: each frame's depend on the seed and its own number alone."""

from __future__ import annotations

import torch
from torch import Tensor

from vrestore.diffusion import NoiseSampler, clip_noise, clip_noise_sampler
from vrestore.diffusion.noise import frame_seed


class ClipDraws:
    """One noise field over the whole clip, the same on every device and whatever the windows.

    Args:
        seed: 0 to 2**63 - 1.
        kind: of the sampler's noise, ``brownian`` or ``white`` (`clip_noise_sampler`).
        sample_posterior: draw from the autoencoder's posterior instead of taking its mode.
    """

    def __init__(self, seed: int, kind: str = "brownian", sample_posterior: bool = False):
        self.seed = seed
        self.kind = kind
        self.posterior: torch.Generator | None = None
        if sample_posterior:
            self.posterior = torch.Generator().manual_seed(frame_seed(seed, "posterior", 0))

    def start(self, latents: Tensor) -> Tensor:
        """Unit normal noise for the state that sampling starts from."""
        return clip_noise(latents, self.seed, "start")

    def key_frames(self, latents: Tensor) -> Tensor:
        """Unit normal noise for the augmentation of the key frames."""
        return clip_noise(latents, self.seed, "key frames")

    def for_sampler(self, x: Tensor, sigmas: Tensor) -> NoiseSampler:
        return clip_noise_sampler(x, sigmas, self.seed, kind=self.kind)
