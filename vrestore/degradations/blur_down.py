"""Gaussian blur, then every n-th pixel: the BD degradation."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip, plain_number, quantise_8bit
from vrestore.degradations.resize import check_scale
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class BlurDown(Degradation):
    """Gaussian blur and subsampling: `BDx4` of the video super-resolution papers at its defaults.

    Every `scale`-th pixel is kept, beginning with the first one of each row and column; borders are mirrored without
    repeating the edge. A clip whose sides are no multiple of `scale` is first cropped at the right and bottom. Follows
    the downsampling of DUF (Jo et al., CVPR 2018): the blur ends at 4 sigma, 13 x 13 pixels for sigma 1.6.

    Args:
        scale: factor by which height and width shrink, a whole number.
        sigma: standard deviation of the blur in pixels of the clean clip; None is 0.4 * scale, that is 1.6 at x4.
        round_to_8bit: round to the 256 levels of 8 bit, as the published test sets are; otherwise only clamp to [0, 1].

    Raises:
        ConfigError: `scale` is not a whole number >= 1, or `sigma` not a number > 0.
    """

    def __init__(self, scale: int = 4, sigma: float | None = None, round_to_8bit: bool = True):
        check_scale("BlurDown", scale, whole=True)
        sigma = 0.4 * scale if sigma is None else sigma
        if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or not math.isfinite(sigma) or sigma <= 0:
            raise ConfigError(f"BlurDown (DEGRADATIONS): sigma must be a finite number > 0 of pixels, got {sigma!r}")
        self.scale = int(scale)
        self.sigma = float(sigma)
        self.round_to_8bit = bool(round_to_8bit)

    @property
    def protocol(self) -> str:
        usual = math.isclose(self.sigma, 0.4 * self.scale)
        return f"BDx{self.scale}" if usual else f"BDx{self.scale}-sigma{self.sigma:g}"

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        small = blur_down(frames_TCHW, self.scale, self.sigma)
        small = quantise_8bit(small) if self.round_to_8bit else small.clamp(0, 1)
        record = {
            "name": "BlurDown",
            "scale": plain_number(self.scale),
            "sigma": self.sigma,
            "round_to_8bit": self.round_to_8bit,
        }
        return small, record


def blur_down(frames: Tensor, scale: int, sigma: float) -> Tensor:
    """Blur the last two dimensions and keep every `scale`-th pixel; neither clamped nor rounded.

    Args:
        frames: (T, C, H, W), floating point; cropped at the right and bottom to a multiple of `scale`.
        scale: whole factor, >= 1.
        sigma: standard deviation of the blur, in pixels, > 0.

    Returns:
        (T, C, H // scale, W // scale).

    Raises:
        RequestError: the frames are too small to be mirrored by the blur's radius.
    """
    kernel = gaussian_taps(sigma)
    radius = len(kernel) // 2
    height, width = (side - side % scale for side in frames.shape[-2:])
    if min(height, width) <= radius:
        raise RequestError(
            f"a blur of sigma {sigma:g} needs frames of more than {radius} pixels a side (a multiple of {scale}), "
            f"got {frames.shape[-1]}x{frames.shape[-2]} (width x height)"
        )
    t, c = frames.shape[:2]
    dtype = frames.dtype
    planes = frames[..., :height, :width].reshape(t * c, 1, height, width)
    planes = planes if dtype in (torch.float32, torch.float64) else planes.float()
    planes = F.pad(planes, (radius, radius, radius, radius), mode="reflect")
    taps = torch.from_numpy(kernel).to(planes.device, planes.dtype)
    planes = F.conv2d(planes, taps.view(1, 1, -1, 1), stride=(scale, 1))
    planes = F.conv2d(planes, taps.view(1, 1, 1, -1), stride=(1, scale))
    # The mirrored margin makes room for samples beyond the last kept one when the radius exceeds the factor.
    planes = planes[..., : height // scale, : width // scale]
    return planes.reshape(t, c, height // scale, width // scale).to(dtype)


def gaussian_taps(sigma: float) -> np.ndarray:
    """A normalised Gaussian cut at 4 sigma (rounded), float64, of odd length."""
    radius = max(1, int(4 * sigma + 0.5))
    offsets = np.arange(-radius, radius + 1)
    taps = np.exp(-0.5 * (offsets / sigma) ** 2)
    return taps / taps.sum()
