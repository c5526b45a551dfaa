"""DPM-Solver++(3M) SDE."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, begin, need_noise, report, traits


@SAMPLERS.register_module()
@traits(order=3, stochastic=True, discard_penultimate=True)
def dpmpp_3m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    eta: float = 1.0,
    s_noise: float = 1.0,
    as_k_diffusion: bool = False,
) -> Tensor:
    """Third-order multistep solver of the reverse SDE in log-SNR (the solver of that name in k-diffusion).

    The denoiser is extrapolated by a polynomial through its last three values (Newton's divided differences) and
    integrated exactly against the exponential; the first two steps have what there is.

    Args:
        eta: factor on the SDE's noise; 0 is deterministic.
        s_noise: factor on the noise drawn.
        as_k_diffusion: halve the quadratic term, as k-diffusion (and diffusers' third-order DPM-Solver++) does. That
            leaves a method of second order; whole, it is of third.

    See `vrestore.samplers.Sampler` for the other arguments.
    """
    if eta > 0:
        noise_sampler = need_noise(noise_sampler, "dpmpp_3m_sde")
    x, levels, first = begin(denoise, x, sigmas, callback)
    history: list[tuple[Tensor, float]] = []  # the steps before, the last one first: denoised data and h
    for i in range(first, len(levels) - 1):
        sigma, sigma_next = levels[i], levels[i + 1]
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            x = denoised
        else:
            h = math.log(sigma / sigma_next)
            x = _step(x, denoised, h, h + eta * h, history, 0.5 if as_k_diffusion else 1.0)
            if eta > 0 and noise_sampler is not None:
                deviation = sigma_next * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise
                x = x + noise_sampler(sigma, sigma_next) * deviation
            history = [(denoised, h), *history[:1]]
        report(callback, i, levels, x, denoised)
    return x


def _step(
    x: Tensor, denoised: Tensor, h: float, hh: float, history: list[tuple[Tensor, float]], quadratic: float
) -> Tensor:
    """The deterministic part; hh is h with the SDE's decay added, `quadratic` a factor on the quadratic term."""
    fresh = -math.expm1(-hh)
    first = 1 - fresh / hh  # integrals of the polynomial's linear and quadratic terms
    second = 0.5 - first / hh
    x = math.exp(-hh) * x + fresh * denoised
    if not history:
        return x
    before, h_1 = history[0]
    slope = (denoised - before) * (h / h_1)
    if len(history) == 1:
        return x + first * slope
    earlier, h_2 = history[1]
    bend = (slope - (before - earlier) * (h / h_2)) * (h / (h_1 + h_2))
    slope = slope + bend * (h_1 / h)
    return x + first * slope + (2 * second * quadratic) * bend
