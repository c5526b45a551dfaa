"""Gaussian blur, then every n-th pixel: the BD degradation, in the two forms that published test sets have."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip, check_scale, on_8bit_levels
from vrestore.degradations.draws import check_flag
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS

CONVENTIONS = ("duf", "matlab")


@DEGRADATIONS.register_module()
class BlurDown(Degradation):
    """Gaussian blur and subsampling, the `BD` degradation of the video super-resolution papers.

    Two unlike operations go by the name `BDx4`, and a network trained on one loses many decibels on the other, because
    their low-resolution grids lie 1.5 clean pixels apart at x4:

    - `duf` keeps the first pixel of every block of `scale`; the blur ends at 4 sigma (13 x 13 pixels for sigma 1.6) and
      borders are mirrored without repeating the edge. From DUF (Jo et al., CVPR 2018); BasicSR's `duf_downsample`.
    - `matlab` samples the centre of every block, as bicubic downscaling does; the blur ends at 3 sigma (12 x 12 pixels)
      and borders repeat the edge pixel. From the MATLAB script that RCAN, BasicVSR and its successors made their BDx4
      sets with, so that this one alone carries the plain name. Its one exception, 7 x 7 pixels for sigma 1.6 at x3, is
      kept.

    A clip whose sides are no multiple of `scale` is first cropped at the right and bottom.

    Args:
        scale: factor by which height and width shrink, a whole number.
        sigma: standard deviation of the blur in pixels of the clean clip; None is 0.4 * scale, that is 1.6 at x4.
        convention: `duf` or `matlab`.
        round_to_8bit: round to the 256 levels of 8 bit, as the published test sets are; otherwise only clamp to [0, 1].

    Raises:
        ConfigError: `scale` is not a whole number >= 1, `sigma` not a number > 0, or the convention unknown.
    """

    scale: int

    def __init__(self, scale: int = 4, sigma: float | None = None, convention: str = "duf", round_to_8bit: bool = True):
        check_scale("BlurDown", scale, whole=True)
        sigma = 0.4 * scale if sigma is None else sigma
        if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or not math.isfinite(sigma) or sigma <= 0:
            raise ConfigError(f"BlurDown (DEGRADATIONS): sigma must be a finite number > 0 of pixels, got {sigma!r}")
        if convention not in CONVENTIONS:
            raise ConfigError(
                f"BlurDown (DEGRADATIONS): convention must be {' or '.join(CONVENTIONS)}, got {convention!r}"
            )
        self.scale = int(scale)
        self.sigma = float(sigma)
        self.convention = convention
        self.round_to_8bit = check_flag("BlurDown", "round_to_8bit", round_to_8bit)

    @property
    def protocol(self) -> str:
        name = f"BDx{self.scale}"
        if not math.isclose(self.sigma, 0.4 * self.scale):
            name += f"-sigma{self.sigma:g}"
        return name if self.convention == "matlab" else f"{name}-{self.convention}"

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)

        def down(frames: Tensor) -> Tensor:
            if self.convention == "matlab":
                return blur_down_matlab(frames, self.scale, self.sigma)
            return blur_down(frames, self.scale, self.sigma)

        small = on_8bit_levels(down, frames_TCHW) if self.round_to_8bit else down(frames_TCHW).clamp(0, 1)
        return small, {
            "name": "BlurDown",
            "scale": self.scale,
            "sigma": self.sigma,
            "convention": self.convention,
            "round_to_8bit": self.round_to_8bit,
        }


def blur_down(frames: Tensor, scale: int, sigma: float, radius: int | None = None, border: str = "reflect") -> Tensor:
    """Blur the last two dimensions and keep the first pixel of every block; neither clamped nor rounded.

    Args:
        frames: (..., H, W), floating point; cropped at the right and bottom to a multiple of `scale`.
        scale: whole factor, >= 1.
        sigma: standard deviation of the blur in pixels, > 0.
        radius: pixels to either side that the blur reaches; None is 4 sigma, rounded.
        border: `reflect` mirrors without repeating the edge, `replicate` repeats the edge pixel.

    Returns:
        (..., H // scale, W // scale).

    Raises:
        RequestError: the frames are smaller than one block, or too small to be mirrored.
    """
    radius = max(1, int(4 * sigma + 0.5)) if radius is None else radius
    offsets = np.arange(-radius, radius + 1)
    return _filter_and_sample(frames, scale, offsets, gaussian(offsets, sigma), border)


def blur_down_matlab(frames: Tensor, scale: int, sigma: float) -> Tensor:
    """Blur the last two dimensions and sample the centre of every block; neither clamped nor rounded.

    Arguments, result and errors as `blur_down`.
    """
    half = 3 if scale == 3 and sigma == 1.6 else math.ceil(3 * sigma)
    if scale % 2 == 0:  # the centre falls between two pixels, and the kernel has an even number of taps
        half += 1
        distances = np.arange(-half, half) + 0.5
        offsets = np.arange(-half, half) + scale // 2
    else:
        distances = np.arange(-half, half + 1).astype(float)
        offsets = np.arange(-half, half + 1) + scale // 2
    return _filter_and_sample(frames, scale, offsets, gaussian(distances, sigma), "replicate")


def gaussian(distances: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian weights of the given distances, float64, of sum 1."""
    weights = np.exp(-0.5 * (distances / sigma) ** 2)
    return weights / weights.sum()


def _filter_and_sample(frames: Tensor, scale: int, offsets: np.ndarray, weights: np.ndarray, border: str) -> Tensor:
    """Weighted sum of the pixels at `offsets` (consecutive) from the first pixel of every block, along both axes."""
    height, width = (side - side % scale for side in frames.shape[-2:])
    first, last = int(offsets[0]), int(offsets[-1])
    before, after = max(0, -first), max(0, last - (scale - 1))
    least = max(before, after) + 1 if border == "reflect" else 1
    if min(height, width) < least:
        raise RequestError(
            f"this blur needs frames of at least {scale * math.ceil(least / scale)} pixels a side, got "
            f"{frames.shape[-1]}x{frames.shape[-2]} (width x height)"
        )
    dtype = frames.dtype
    planes = frames[..., :height, :width].reshape(-1, 1, height, width)
    planes = planes if dtype in (torch.float32, torch.float64) else planes.float()
    planes = F.pad(planes, (before, after, before, after), mode=border)[..., first + before :, first + before :]
    taps = torch.from_numpy(weights).to(planes.device, planes.dtype)
    planes = F.conv2d(planes, taps.view(1, 1, -1, 1), stride=(scale, 1))
    planes = F.conv2d(planes, taps.view(1, 1, 1, -1), stride=(1, scale))
    return planes.reshape(*frames.shape[:-2], height // scale, width // scale).to(dtype)
