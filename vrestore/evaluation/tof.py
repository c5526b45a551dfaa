"""tOF: how far a clip's motion is from that of its ground truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import NotMeasuredError
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_options, check_pair, levels, score_name
from vrestore.registry import METRICS

# Farneback (2003) as TecoGAN's evaluation runs it
PYRAMID_SCALE, LEVELS, WINDOW_PX, ITERATIONS, POLY_PX, POLY_SIGMA = 0.5, 3, 15, 3, 5, 1.2


@METRICS.register_module()
class TOF(Metric):
    """Mean distance, in pixels, between the optical flows of output and ground truth; lower is better.

    Of TecoGAN (Chu et al., ACM TOG 2020): the flow from each frame to the next one, by Farneback's method on the
    rounded luma, in both clips; the Euclidean distance of the two vectors, meant over the frame. The first frame has no
    flow before it, and no value. It tells flicker, jumps and ghosts of blended frames from motion, which no metric of
    single frames sees; a still clip scores as well as its ground truth is still.

    Args:
        crop_border: pixels left out on every side before the flow is found.
        collect_device, prefix, collect_dir: of MMEngine's BaseMetric.
    """

    metric = "tOF"
    higher_is_better = False
    unit = "px"

    def __init__(self, crop_border: int = 0, **mmengine: Any):
        super().__init__(**mmengine)
        check_options("tOF", "Y", crop_border)
        self.crop_border = crop_border

    @property
    def name(self) -> str:
        return "tOF" if not self.crop_border else score_name("tOF", "Y", self.crop_border)

    @property
    def protocol(self) -> dict[str, Any]:
        return self.base_protocol(
            colour="Y of BT.601",
            crop_border=self.crop_border,
            rounding="uint8, luma rounded too",
            flow=f"Farneback, pyramid {LEVELS} x {PYRAMID_SCALE}, window {WINDOW_PX}, {ITERATIONS} iterations, "
            f"polynomials {POLY_PX} px, sigma {POLY_SIGMA}",
            first_frame="left out",
        )

    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None) -> list[float]:
        hq_TCHW = check_pair(pred_TCHW, hq_TCHW, self.name)
        if len(pred_TCHW) < 2:
            raise NotMeasuredError("tOF compares motion, and one frame has none")
        values, before = [math.nan], None
        for pred_CHW, hq_CHW in zip(pred_TCHW, hq_TCHW, strict=True):
            pair = [_codes(frame, self.crop_border) for frame in (pred_CHW, hq_CHW)]
            if before is not None:
                found, true = (flow(first, second) for first, second in zip(before, pair, strict=True))
                values.append(float(np.linalg.norm(found - true, axis=-1).mean(dtype=np.float64)))
            before = pair
        return values


def flow(first_HW: np.ndarray, second_HW: np.ndarray) -> np.ndarray:
    """Optical flow (H, W, 2), horizontal before vertical, in pixels, from one uint8 luma image to the next."""
    import cv2

    made = np.zeros((*first_HW.shape, 2), np.float32)
    return cv2.calcOpticalFlowFarneback(
        first_HW, second_HW, made, PYRAMID_SCALE, LEVELS, WINDOW_PX, ITERATIONS, POLY_PX, POLY_SIGMA, 0
    )


def _codes(frame_CHW: Tensor, crop_border: int) -> np.ndarray:
    return levels(frame_CHW, "Y", crop_border, True)[0].round().to(torch.uint8).numpy()
