"""PSNR: peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from vrestore.errors import ConfigError
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
        every: measure one frame in so many, from the first one on: with a benchmark's `time_step` the key frames,
            which were given and not made.
        collect_device, prefix, collect_dir: of MMEngine's BaseMetric.

    Identical frames score infinity; means count them apart (`vrestore.evaluation.statistics.clip_mean`).
    """

    metric = "PSNR"
    unit = "dB"

    def __init__(
        self,
        convert_to: str = "Y",
        crop_border: int = 0,
        round_to_uint8: bool = True,
        every: int = 1,
        **mmengine: Any,
    ):
        super().__init__(**mmengine)
        check_options("PSNR", convert_to, crop_border)
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ConfigError(f"PSNR: every must be a whole number of frames >= 1, got {every!r}")
        self.every = every
        self.convert_to, self.crop_border, self.round_to_uint8 = convert_to, crop_border, bool(round_to_uint8)

    @property
    def name(self) -> str:
        some = f"-every{self.every}" if self.every > 1 else ""
        return score_name(self.metric, self.convert_to, self.crop_border, self.round_to_uint8) + some

    @property
    def protocol(self) -> dict[str, Any]:
        some = {"frames": f"every {self.every} frames, from the first"} if self.every > 1 else {}
        return self.base_protocol(
            **some,
            colour="RGB" if self.convert_to == "RGB" else "Y of BT.601",
            crop_border=self.crop_border,
            rounding="uint8" if self.round_to_uint8 else "none",
            precision="float64",
            identical="left out of means and counted",
        )

    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None) -> list[float]:
        hq_TCHW = check_pair(pred_TCHW, hq_TCHW, self.name)
        pairs = level_pairs(pred_TCHW, hq_TCHW, self.convert_to, self.crop_border, self.round_to_uint8)
        return [
            _psnr((pred - hq).square().mean().item()) if t % self.every == 0 else math.nan
            for t, (pred, hq) in enumerate(pairs)
        ]


def _psnr(mean_squared_error: float) -> float:
    return math.inf if mean_squared_error == 0 else 10 * math.log10(255**2 / mean_squared_error)
