"""Structural similarity of images (Wang et al., TIP 2004): a Gaussian window of 11x11, valid region."""

from __future__ import annotations

import torch
from torch import Tensor

from vrestore.errors import NotMeasuredError

WINDOW_PX, SIGMA_PX = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim_map(pred: Tensor, hq: Tensor) -> Tensor:
    """Local similarity of two float64 images (…, H, W) in code values 0..255: (…, H - 10, W - 10).

    Raises:
        NotMeasuredError: the images are smaller than the window.
    """
    h, w = pred.shape[-2:]
    if min(h, w) < WINDOW_PX:
        raise NotMeasuredError(f"SSIM needs at least {WINDOW_PX}x{WINDOW_PX} pixels, got {w}x{h}")
    mu_p, mu_h = _blur(pred), _blur(hq)
    power = mu_p.square() + mu_h.square()
    product = mu_p * mu_h
    # Only the sum of the two variances is needed, which saves one of five blurs.
    variances = _blur(pred.square() + hq.square()) - power
    covariance = _blur(pred * hq) - product
    return (2 * product + C1) * (2 * covariance + C2) / ((power + C1) * (variances + C2))


def gaussian_taps(size: int, sigma: float) -> list[float]:
    """A normalised Gaussian window, float64."""
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    taps = torch.exp(-x.square() / (2 * sigma**2))
    return (taps / taps.sum()).tolist()


_TAPS = gaussian_taps(WINDOW_PX, SIGMA_PX)


def _blur(image: Tensor) -> Tensor:
    """Separable window over the valid region; symmetric taps are added first, which halves the products."""
    for dim in (-2, -1):
        n = image.shape[dim] - WINDOW_PX + 1
        half = WINDOW_PX // 2
        total = image.narrow(dim, half, n) * _TAPS[half]
        pair = torch.empty_like(total)
        for k in range(half):
            torch.add(image.narrow(dim, k, n), image.narrow(dim, WINDOW_PX - 1 - k, n), out=pair)
            total.add_(pair, alpha=_TAPS[k])
        image = total
    return image
