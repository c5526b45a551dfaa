"""Unsharp masking: the sharpening that Real-ESRGAN and RealBasicVSR give their clean frames."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.blur_down import gaussian
from vrestore.degradations.draws import check_number
from vrestore.degradations.filtering import mirrored
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class UnsharpMask(Degradation):
    """Sharpens: the published real-world recipes train towards sharpened clean frames and degrade those.

    A training config puts it among the dataset's `transforms` (it is one there as well), so that the target is
    sharpened too.

    Args:
        kernel_size: side of the blur in pixels, odd; an even one is enlarged by one.
        sigma: of the blur in pixels; 0 takes OpenCV's value for the size.
        weight: how much of the detail is added.
        threshold: least detail that is sharpened, in levels of 8 bit.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, kernel_size: int = 51, sigma: float = 0, weight: float = 0.5, threshold: float = 10):
        if not isinstance(kernel_size, int) or isinstance(kernel_size, bool) or kernel_size < 1:
            raise ConfigError(
                f"UnsharpMask (DEGRADATIONS): kernel_size must be a whole number >= 1, got {kernel_size!r}"
            )
        self.kernel_size = kernel_size + 1 - kernel_size % 2
        self.sigma = check_number("UnsharpMask", "sigma", sigma)
        self.weight = check_number("UnsharpMask", "weight", weight)
        self.threshold = check_number("UnsharpMask", "threshold", threshold)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        sharp = torch.cat(
            [
                unsharp_mask(frame, self.kernel_size, self.sigma, self.weight, self.threshold)
                for frame in frames_TCHW.split(1)
            ]
        )
        return sharp, {"name": "UnsharpMask", "scale": 1, "weight": self.weight, "threshold": self.threshold}


def unsharp_mask(
    frames: Tensor, kernel_size: int = 51, sigma: float = 0, weight: float = 0.5, threshold: float = 10
) -> Tensor:
    """Add `weight` of what a Gaussian blur takes away, where that is more than `threshold` levels.

    Args:
        frames: (N, C, H, W) in [0, 1].
        kernel_size, sigma, weight, threshold: as `UnsharpMask`; the size odd.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    sigma = sigma or 0.3 * ((kernel_size - 1) * 0.5 - 1) + 0.8
    taps = torch.from_numpy(gaussian(np.arange(kernel_size) - kernel_size // 2, sigma)).to(frames.device, frames.dtype)

    def blur(planes: Tensor) -> Tensor:
        n, c, h, w = planes.shape
        bordered = mirrored(planes, kernel_size // 2).reshape(n * c, 1, *(s + 2 * (kernel_size // 2) for s in (h, w)))
        bordered = F.conv2d(F.conv2d(bordered, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))
        return bordered.view(n, c, h, w)

    detail = frames - blur(frames)
    mask = blur((detail.abs() * 255 > threshold).to(frames.dtype))
    return torch.lerp(frames, (frames + weight * detail).clamp_(0, 1), mask)
