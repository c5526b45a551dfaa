"""DPM-Solver++(2M) SDE: VEnhancer's sampler."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, begin, need_noise, report, traits

SOLVER_TYPES = ("midpoint", "heun")


@SAMPLERS.register_module()
@traits(order=2, stochastic=True, discard_penultimate=True)
def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "midpoint",
) -> Tensor:
    """Second-order multistep solver of the reverse SDE in log-SNR (Lu et al., arXiv 2211.01095).

    With ``h = ln(sigma / sigma_next)`` the linear part is solved exactly, the denoiser is extrapolated from its last
    two values, and the noise has the exact variance of the step.

    Args:
        eta: factor on the SDE's noise; 0 is the deterministic DPM-Solver++(2M).
        s_noise: factor on the noise drawn.
        solver_type: second-order term by ``midpoint`` (official) or ``heun`` (exact for a denoiser linear in log-SNR).

    See `vrestore.samplers.Sampler` for the other arguments.

    Raises:
        ConfigError: an unknown solver_type.
    """
    if solver_type not in SOLVER_TYPES:
        raise ConfigError(f"solver_type must be 'midpoint' or 'heun', got {solver_type!r}")
    if eta > 0:
        noise_sampler = need_noise(noise_sampler, "dpmpp_2m_sde")
    x, levels, first = begin(denoise, x, sigmas, callback)
    last: tuple[Tensor, float] | None = None  # the step before: its denoised data and its h
    for i in range(first, len(levels) - 1):
        sigma, sigma_next = levels[i], levels[i + 1]
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            x = denoised
        else:
            h = math.log(sigma / sigma_next)
            hh = h + eta * h
            fresh = -math.expm1(-hh)
            x = math.exp(-hh) * x + fresh * denoised
            if last is not None:
                before, h_last = last
                factor = 0.5 * fresh if solver_type == "midpoint" else 1 - fresh / hh
                x = x + (factor * h / h_last) * (denoised - before)
            if eta > 0 and noise_sampler is not None:
                deviation = sigma_next * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise
                x = x + noise_sampler(sigma, sigma_next) * deviation
            last = denoised, h
        report(callback, i, levels, x, denoised)
    return x
