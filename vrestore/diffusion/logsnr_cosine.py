"""The log-SNR cosine schedule, interpolated between two resolutions' shifts: VEnhancer's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vrestore.diffusion.schedule import NoiseSchedule, rescale_to_zero_terminal_snr
from vrestore.errors import ConfigError
from vrestore.registry import SCHEDULES

# The official tables, as float32 arithmetic made them where the reference outputs were taken. Float32 tangents,
# logarithms and roots differ in their last bit from processor to processor; close to pure noise one bit of sigma moves
# sigma / alpha by a percent, and Brownian noise is cut at the sixth decimal of a level: evaluated anew, they would
# give other steps and other noise on other machines.
OFFICIAL_TABLES = Path(__file__).with_name("logsnr_cosine.npz")


@SCHEDULES.register_module()
class LogSNRCosineInterp(NoiseSchedule):
    """Cosine schedule in log-SNR with a shift that moves from one scale to another (arXiv 2301.11093, section 2.2).

    With u from 1 (least noise) to 0, ``a = atan(exp(-logsnr_min / 2))`` and ``c = atan(exp(-logsnr_max / 2))``,
    ``logsnr(u) = -2 ln tan(a + u (c - a)) - 2 (u ln(scale_min) + (1 - u) ln(scale_max))``. Equal scales give the plain
    shifted cosine, scales of 1 the unshifted one. The default is VEnhancer's table,
    to the last bit; it ends in pure noise by rounding.

    Args:
        num_steps: timesteps (official: 1000).
        logsnr_min, logsnr_max: ends of the unshifted log-SNR (official: -15 and 15).
        scale_min, scale_max: shifts at the clean and at the noisy end (official: 2 and 4).
        zero_terminal_snr: end in pure noise (arXiv 2305.08891); a table that does so anyway stays as it is.
        exact: build in float64. The official release builds in float32, which moves the first levels by 8e-5 of their
            value and makes the last one pure noise; its weights were trained on that table, so that is the default.

    Raises:
        ConfigError: fewer than two timesteps, log-SNRs in the wrong order, or a scale that is not positive.
    """

    def __init__(
        self,
        num_steps: int = 1000,
        logsnr_min: float = -15.0,
        logsnr_max: float = 15.0,
        scale_min: float = 2.0,
        scale_max: float = 4.0,
        zero_terminal_snr: bool = True,
        exact: bool = False,
    ):
        if num_steps < 2 or not logsnr_min < logsnr_max or scale_min <= 0 or scale_max <= 0:
            raise ConfigError(
                f"LogSNRCosineInterp needs num_steps >= 2, logsnr_min < logsnr_max and scales > 0, got "
                f"num_steps={num_steps}, logsnr={logsnr_min}..{logsnr_max}, scales={scale_min}, {scale_max}"
            )
        if (num_steps, logsnr_min, logsnr_max, scale_min, scale_max) == (1000, -15, 15, 2, 4) and not exact:
            with np.load(OFFICIAL_TABLES) as stored:
                tables = {name: torch.from_numpy(values) for name, values in stored.items()}
            super().__init__(tables["vp_sigmas"])
            vars(self).update(tables)
            return
        u = torch.linspace(1, 0, num_steps, dtype=torch.float64 if exact else torch.float32)
        logsnr = interpolated_logsnr(u, logsnr_min, logsnr_max, scale_min, scale_max)
        vp_sigmas = torch.sqrt(torch.sigmoid(-logsnr))
        super().__init__(rescale_to_zero_terminal_snr(vp_sigmas) if zero_terminal_snr else vp_sigmas)
        if torch.equal(self.vp_sigmas, vp_sigmas):
            self.logsnr = logsnr  # at the ends it tells more than the rounded sigmas


def interpolated_logsnr(u: Tensor, logsnr_min: float, logsnr_max: float, scale_min: float, scale_max: float) -> Tensor:
    """Log-SNR at u from 1 (least noise) to 0, evaluated in u's precision; see `LogSNRCosineInterp`."""
    start, end = math.atan(math.exp(-0.5 * logsnr_min)), math.atan(math.exp(-0.5 * logsnr_max))
    cosine = -2 * torch.log(torch.tan(start + u * (end - start)))
    return u * (cosine - 2 * math.log(scale_min)) + (1 - u) * (cosine - 2 * math.log(scale_max))
