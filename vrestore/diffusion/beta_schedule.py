"""The schedules that are given by betas: DDPM's linear one and Stable Diffusion's."""

from __future__ import annotations

import torch

from vrestore.diffusion.schedule import NoiseSchedule, rescale_to_zero_terminal_snr
from vrestore.errors import ConfigError
from vrestore.registry import SCHEDULES


@SCHEDULES.register_module()
class BetaSchedule(NoiseSchedule):
    """Betas in equal steps (``linear``, arXiv 2006.11239) or their square roots (``scaled_linear``, Stable Diffusion).

    Args:
        num_steps: timesteps.
        beta_start, beta_end: first and last beta, in (0, 1).
        kind: ``linear`` or ``scaled_linear``.
        zero_terminal_snr: rescale so that the last level is pure noise (arXiv 2305.08891).

    Raises:
        ConfigError: fewer than two timesteps, betas outside of 0 < start <= end < 1, or an unknown kind.
    """

    def __init__(
        self,
        num_steps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        kind: str = "scaled_linear",
        zero_terminal_snr: bool = False,
    ):
        if num_steps < 2 or not 0 < beta_start <= beta_end < 1:
            raise ConfigError(
                f"BetaSchedule needs num_steps >= 2 and 0 < beta_start <= beta_end < 1, got num_steps={num_steps}, "
                f"beta_start={beta_start}, beta_end={beta_end}"
            )
        if kind == "linear":
            betas = torch.linspace(beta_start, beta_end, num_steps, dtype=torch.float64)
        elif kind == "scaled_linear":
            betas = torch.linspace(beta_start**0.5, beta_end**0.5, num_steps, dtype=torch.float64) ** 2
        else:
            raise ConfigError(f"BetaSchedule's kind must be 'linear' or 'scaled_linear', got {kind!r}")
        vp_sigmas = torch.sqrt(1 - torch.cumprod(1 - betas, dim=0))
        super().__init__(rescale_to_zero_terminal_snr(vp_sigmas) if zero_terminal_snr else vp_sigmas)
