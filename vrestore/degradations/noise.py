"""RandomNoise: sensor noise, Gaussian or Poisson, in colour or in gray."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip, to_8bit
from vrestore.degradations.draws import Range, check_number, check_prob, check_range, told, walk
from vrestore.degradations.random_fields import normal_field, poisson_field
from vrestore.registry import DEGRADATIONS

GRAY_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


@DEGRADATIONS.register_module()
class RandomNoise(Degradation):
    """Gaussian or Poisson noise as RealBasicVSR and Real-ESRGAN draw it; defaults are RealBasicVSR's first order.

    The kind, and whether the channels share their noise, are drawn once a clip; the strength walks from frame to frame
    (see `draws.walk`); every frame has noise of its own. Poisson noise counts photons: a clip that uses n levels of 8
    bit (n rounded up to a power of 2) is taken for one of up to n photons a pixel, and what the count differs by is
    multiplied by the strength.

    Args:
        gaussian_prob: how often the noise is Gaussian instead of Poisson.
        sigma: standard deviation of Gaussian noise in levels of 8 bit.
        sigma_step: its largest change between two frames.
        poisson_scale: strength of Poisson noise.
        poisson_step: its largest change between two frames.
        gray_prob: how often the channels share one noise.

    Raises:
        ConfigError: an impossible range or probability.
    """

    def __init__(
        self,
        gaussian_prob: float = 0.5,
        sigma: Range = (1.0, 30.0),
        sigma_step: float = 0.1,
        poisson_scale: Range = (0.05, 3.0),
        poisson_step: float = 0.005,
        gray_prob: float = 0.4,
    ):
        self.gaussian_prob = check_prob("RandomNoise", "gaussian_prob", gaussian_prob)
        self.sigma = check_range("RandomNoise", "sigma", sigma, 0, 255)
        self.sigma_step = check_number("RandomNoise", "sigma_step", sigma_step)
        self.poisson_scale = check_range("RandomNoise", "poisson_scale", poisson_scale, 0, 100)
        self.poisson_step = check_number("RandomNoise", "poisson_step", poisson_step)
        self.gray_prob = check_prob("RandomNoise", "gray_prob", gray_prob)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        gaussian, gray = bool(rng.random() < self.gaussian_prob), bool(rng.random() < self.gray_prob)
        record: dict[str, Any] = {"name": "RandomNoise", "scale": 1, "gray": gray}
        n_frames = len(frames_TCHW)
        if gaussian:
            strength = walk(rng, self.sigma, self.sigma_step, n_frames)
            record |= {"kind": "gaussian", "sigma": told(strength)}
            noise = gaussian_noise(frames_TCHW, strength, gray, rng)
        else:
            strength = walk(rng, self.poisson_scale, self.poisson_step, n_frames)
            record |= {"kind": "poisson", "poisson_scale": told(strength)}
            noise = poisson_noise(frames_TCHW, strength, gray, rng)
        return noise.add_(frames_TCHW).clamp_(0, 1), record


def gaussian_noise(frames_TCHW: Tensor, sigma: np.ndarray, gray: bool, rng: np.random.Generator) -> Tensor:
    """Noise (T, C or 1, H, W) -> (T, C, H, W) of standard deviation `sigma` (T,) in levels of 8 bit."""
    shape = _shared(frames_TCHW, gray)
    noise = normal_field(shape, rng).to(frames_TCHW.device, frames_TCHW.dtype)
    noise *= _by_frame(sigma / 255, frames_TCHW)
    return noise.expand(frames_TCHW.shape).clone() if gray else noise


def poisson_noise(frames_TCHW: Tensor, scale: np.ndarray, gray: bool, rng: np.random.Generator) -> Tensor:
    """What a count of photons differs by from its expectation, times `scale` (T,): (T, C, H, W)."""
    light = frames_TCHW
    if gray and frames_TCHW.shape[1] == 3:
        weights = torch.tensor(GRAY_WEIGHTS, dtype=frames_TCHW.dtype, device=frames_TCHW.device)
        light = torch.einsum("tchw,c->thw", frames_TCHW, weights)[:, None]
    elif gray:
        light = frames_TCHW.mean(1, keepdim=True)
    levels = to_8bit(light)
    used = _levels_used(levels)
    photons = 2 ** math.ceil(math.log2(max(used, 2)))
    noise = poisson_field(levels, photons, rng).to(frames_TCHW.device, frames_TCHW.dtype)
    noise *= _by_frame(scale, frames_TCHW)
    return noise.expand(frames_TCHW.shape).clone() if gray else noise


def _levels_used(levels: Tensor) -> int:
    """How many of the 256 levels there are among uint8 values."""
    import cv2

    plane = levels.contiguous().view(-1, levels.shape[-1]).numpy()
    return int((cv2.calcHist([plane], [0], None, [256], [0, 256]) > 0).sum())


def _shared(frames_TCHW: Tensor, gray: bool) -> tuple[int, ...]:
    n_frames, channels, height, width = frames_TCHW.shape
    return n_frames, 1 if gray else channels, height, width


def _by_frame(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64)).to(like.device, like.dtype).view(-1, 1, 1, 1)
