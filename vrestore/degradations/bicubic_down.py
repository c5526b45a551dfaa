"""Antialiased bicubic downscaling: the BI degradation."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vrestore.degradations.base import (
    Degradation,
    Record,
    check_clip,
    check_scale,
    on_8bit_levels,
    plain_number,
)
from vrestore.degradations.draws import check_flag
from vrestore.degradations.resize import imresize
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class BicubicDown(Degradation):
    """Antialiased bicubic downscaling: `BIx4` of the video super-resolution papers at its defaults.

    The result has `ceil(side / scale)` pixels a side, as MATLAB makes it; a side that `scale` does not divide therefore
    has no exact partner at `scale` times the size (benchmarks and training crop to a multiple first).

    Args:
        scale: factor by which height and width shrink; any number >= 1, whole or not.
        round_to_8bit: round to the 256 levels of 8 bit, as the published test sets are; otherwise only clamp to [0, 1].

    Raises:
        ConfigError: `scale` is not a finite number >= 1.
    """

    def __init__(self, scale: float = 4, round_to_8bit: bool = True):
        check_scale("BicubicDown", scale)
        self.scale = plain_number(scale)
        self.round_to_8bit = check_flag("BicubicDown", "round_to_8bit", round_to_8bit)

    @property
    def protocol(self) -> str:
        return f"BIx{self.scale:g}"

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)

        def down(frames: Tensor) -> Tensor:
            return imresize(frames, scale=1 / self.scale)

        small = on_8bit_levels(down, frames_TCHW) if self.round_to_8bit else down(frames_TCHW).clamp(0, 1)
        return small, {"name": "BicubicDown", "scale": self.scale, "round_to_8bit": self.round_to_8bit}
