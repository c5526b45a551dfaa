"""PSNR: peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_options, check_pair, level_pairs, score_name
from vrestore.registry import METRICS


@METRICS.register_module()
class PSNR(Metric):
    """10 log10(255² / MSE) in float64, on frames rounded to 8 bit; equal to the BasicSR and MMagic convention.

    Args:
        convert_to: `RGB` (one mean squared error over the three channels) or `Y` of BT.601 (luma not rounded).
        crop_border: pixels left out on every side.
        round_to_uint8: measure what a file of 8 bit would hold; otherwise the floats as they are.
        collect_device, prefix, collect_dir: of MMEngine's BaseMetric.

    Identical frames score infinity; means count them apart (`vrestore.evaluation.statistics.clip_mean`).
    """

    metric = "PSNR"
    unit = "dB"

    def __init__(self, convert_to: str = "Y", crop_border: int = 0, round_to_uint8: bool = True, **mmengine: Any):
        super().__init__(**mmengine)
        check_options("PSNR", convert_to, crop_border)
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
            precision="float64",
            identical="left out of means and counted",
        )

    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None) -> list[float]:
        hq_TCHW = check_pair(pred_TCHW, hq_TCHW, self.name)
        pairs = level_pairs(pred_TCHW, hq_TCHW, self.convert_to, self.crop_border, self.round_to_uint8)
        return [_psnr((pred - hq).square().mean().item()) for pred, hq in pairs]


def _psnr(mean_squared_error: float) -> float:
    return math.inf if mean_squared_error == 0 else 10 * math.log10(255**2 / mean_squared_error)
