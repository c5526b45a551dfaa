"""SSIM: structural similarity."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vrestore.errors import NotMeasuredError
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_options, check_pair, level_pairs, score_name
from vrestore.registry import METRICS

WINDOW_PX, SIGMA_PX = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@METRICS.register_module()
class SSIM(Metric):
    """Structural similarity (Wang et al. 2004): Gaussian window of 11x11 (sigma 1.5), valid region, float64.

    Args:
        convert_to: `RGB` (mean over the three channels) or `Y` of BT.601.
        crop_border: pixels left out on every side, before the window takes its own 5.
        round_to_uint8: measure what a file of 8 bit would hold; otherwise the floats as they are.
        collect_device, prefix, collect_dir: of MMEngine's BaseMetric.
    """

    metric = "SSIM"

    def __init__(self, convert_to: str = "Y", crop_border: int = 0, round_to_uint8: bool = True, **mmengine: Any):
        super().__init__(**mmengine)
        check_options("SSIM", convert_to, crop_border)
        self.convert_to, self.crop_border, self.round_to_uint8 = convert_to, crop_border, bool(round_to_uint8)

    @property
    def name(self) -> str:
        return score_name(self.metric, self.convert_to, self.crop_border, self.round_to_uint8)

    @property
    def protocol(self) -> dict[str, Any]:
        return self.base_protocol(
            colour="RGB" if self.convert_to == "RGB" else "Y of BT.601",
            crop_border=self.crop_border,
            rounding="uint8" if self.round_to_uint8 else "none",
            window="Gaussian 11x11, sigma 1.5, valid region",
            precision="float64",
        )

    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None) -> list[float]:
        hq_TCHW = check_pair(pred_TCHW, hq_TCHW, self.name)
        pairs = level_pairs(pred_TCHW, hq_TCHW, self.convert_to, self.crop_border, self.round_to_uint8)
        return [ssim_map(pred, hq).mean().item() for pred, hq in pairs]


def ssim_map(pred_CHW: Tensor, hq_CHW: Tensor) -> Tensor:
    """Local similarity of two float64 images (C, H, W) in code values 0..255: (C, H - 10, W - 10).

    Raises:
        NotMeasuredError: the images are smaller than the window.
    """
    h, w = pred_CHW.shape[-2:]
    if min(h, w) < WINDOW_PX:
        raise NotMeasuredError(f"SSIM needs at least {WINDOW_PX}x{WINDOW_PX} pixels, got {w}x{h}")
    mu_p, mu_h = _blur(pred_CHW), _blur(hq_CHW)
    power = mu_p.square() + mu_h.square()
    product = mu_p * mu_h
    # Only the sum of the two variances is needed, which saves one of five blurs.
    variances = _blur(pred_CHW.square() + hq_CHW.square()) - power
    covariance = _blur(pred_CHW * hq_CHW) - product
    return (2 * product + C1) * (2 * covariance + C2) / ((power + C1) * (variances + C2))


def gaussian_taps(size: int, sigma: float) -> list[float]:
    """A normalised Gaussian window, float64."""
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    taps = torch.exp(-x.square() / (2 * sigma**2))
    return (taps / taps.sum()).tolist()


_TAPS = gaussian_taps(WINDOW_PX, SIGMA_PX)


def _blur(image_CHW: Tensor) -> Tensor:
    """Separable window over the valid region; symmetric taps are added first, which halves the products."""
    for dim in (-2, -1):
        n = image_CHW.shape[dim] - WINDOW_PX + 1
        half = WINDOW_PX // 2
        total = image_CHW.narrow(dim, half, n) * _TAPS[half]
        pair = torch.empty_like(total)
        for k in range(half):
            torch.add(image_CHW.narrow(dim, k, n), image_CHW.narrow(dim, WINDOW_PX - 1 - k, n), out=pair)
            total.add_(pair, alpha=_TAPS[k])
        image_CHW = total
    return image_CHW
