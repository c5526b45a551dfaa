"""Noise that samplers are handed: by a generator, or one field over a whole clip that no window can change."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vrestore.diffusion.brownian import BrownianNoise
from vrestore.errors import ConfigError
from vrestore.samplers.base import NoiseSampler


class GeneratorNoise:
    """Unit normal noise drawn from a generator, call after call.

    Args:
        like: tensor whose shape and dtype the noise has; it is drawn on the generator's device and moved to this one's.
        generator: advanced by every call.
    """

    def __init__(self, like: Tensor, generator: torch.Generator):
        self.like = like
        self.generator = generator

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        noise = torch.randn(
            self.like.shape, generator=self.generator, dtype=self.like.dtype, device=self.generator.device
        )
        return noise.to(self.like.device)


class ClipWhiteNoise:
    """Unit normal noise, independent from step to step, in which a frame's noise depends on nothing but its number.

    A window of a clip gets the frames that the whole clip would get: the noise of frame t at a step is a function of
    (seed, t, sigma, sigma_next) and of the frame's size alone, on every device.

    Args:
        like: state (B, C, T, H, W) whose shape, dtype and device the noise has.
        seed: 0 to 2**63 - 1.
        start_frame: number of the state's first frame in the clip.
    """

    def __init__(self, like: Tensor, seed: int, start_frame: int = 0):
        self.like = like
        self.seed = seed
        self.start_frame = start_frame

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        stream = f"{float(sigma)!r} {float(sigma_next)!r}"
        return clip_noise(self.like, self.seed, stream, start_frame=self.start_frame)


class ClipBrownianNoise:
    """As `ClipWhiteNoise`, but each frame follows one Brownian path whatever the number of steps.

    More steps refine the same path instead of drawing another, so a preview in few steps looks like the final result.

    Args:
        like: state (B, C, T, H, W) whose shape, dtype and device the noise has.
        sigmas: the solver's noise levels; their finite positive range is what the paths cover.
        seed: 0 to 2**63 - 1.
        start_frame: number of the state's first frame in the clip.
        device: where it is drawn. The CPU's noise is the same on every machine; on the state's own device that of a
            large clip is drawn quicker.

    Raises:
        MissingDependencyError: torchsde is not installed (at the first call).
    """

    def __init__(
        self,
        like: Tensor,
        sigmas: Tensor | Sequence[float],
        seed: int,
        start_frame: int = 0,
        device: torch.device | str = "cpu",
    ):
        frame = like.detach()[:, :, 0].to(device)
        frames = range(start_frame, start_frame + like.shape[2])
        self.like = like
        self.seed = seed
        self.paths = [BrownianNoise(frame, sigmas, frame_seed(seed, "brownian", t)) for t in frames]

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        noise = torch.stack([path(sigma, sigma_next) for path in self.paths], dim=2)
        return noise.to(self.like.device)


def clip_noise(like: Tensor, seed: int, stream: str, *, start_frame: int = 0) -> Tensor:
    """Unit normal noise in which frame t depends on (seed, stream, t) and its own size alone.

    Args:
        like: state (B, C, T, H, W) whose shape, dtype and device the noise has.
        seed: 0 to 2**63 - 1.
        stream: what the noise is for (``start``, ``key frames``, …): streams are independent of each other.
        start_frame: number of the first frame in the clip.
    """
    shape = (like.shape[0], like.shape[1], *like.shape[3:])
    frames = []
    for t in range(start_frame, start_frame + like.shape[2]):
        generator = torch.Generator().manual_seed(frame_seed(seed, stream, t))
        frames.append(torch.randn(shape, generator=generator, dtype=like.dtype))
    return torch.stack(frames, dim=2).to(like.device)


def frame_seed(seed: int, stream: str, frame: int) -> int:
    """A seed from 0 to 2**63 - 1 for one frame of one stream of noise."""
    words = np.random.SeedSequence([seed, zlib.crc32(stream.encode()), frame]).generate_state(1, np.uint64)
    return int(words[0]) >> 1


def draw_seed(generator: torch.Generator) -> int:
    """A seed from 0 to 2**63 - 2 out of a generator, which it advances by one draw (as k-diffusion seeds its tree)."""
    return int(torch.randint(0, 2**63 - 1, (), generator=generator, device=generator.device))


NOISES = ("brownian", "white")


def clip_noise_sampler(
    like: Tensor, sigmas: Tensor | Sequence[float], seed: int, *, kind: str = "brownian", start_frame: int = 0
) -> NoiseSampler:
    """The noise sampler for a clip: ``brownian`` (`ClipBrownianNoise`), or ``white`` (`ClipWhiteNoise`), much quicker.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind == "brownian":
        return ClipBrownianNoise(like, sigmas, seed, start_frame)
    if kind == "white":
        return ClipWhiteNoise(like, seed, start_frame)
    raise ConfigError(f"kind of noise must be one of {', '.join(NOISES)}, got {kind!r}")
