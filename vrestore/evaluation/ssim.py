"""SSIM: structural similarity."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_options, check_pair, level_pairs, score_name
from vrestore.layers.ssim import ssim_map
from vrestore.registry import METRICS


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
