"""Quantise: rounding to the levels that files hold."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class Quantise(Degradation):
    """Rounds to evenly spaced levels; recipes end with it, so that a model trains on what a file can hold.

    Args:
        bits: of a sample, 1 to 16.

    Raises:
        ConfigError: another number of bits.
    """

    def __init__(self, bits: int = 8):
        if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= 16:
            raise ConfigError(f"Quantise (DEGRADATIONS): bits must be a whole number from 1 to 16, got {bits!r}")
        self.bits = bits

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        peak = 2**self.bits - 1
        rounded = frames_TCHW.clamp(0, 1).mul_(peak).round_().div_(peak)
        return rounded, {"name": "Quantise", "scale": 1, "bits": self.bits}
