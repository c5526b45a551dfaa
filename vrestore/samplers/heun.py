"""Heun's method."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, begin, report, traits
from vrestore.samplers.churn import Churn


@SAMPLERS.register_module()
@traits(order=2, evaluations_per_step=2)
def heun(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Tensor:
    """Heun steps of the probability-flow ODE, with optional churn (Karras et al., arXiv 2206.00364, algorithm 2).

    Two evaluations a step; one in the last step to 0 and in a step out of pure noise. See `vrestore.samplers.Sampler`
    for the arguments and `vrestore.samplers.churn.Churn` for those from s_churn on.
    """
    churn = Churn(noise_sampler, s_churn, s_tmin, s_tmax, s_noise, "heun")
    churn.start(sigmas)
    x, levels, first = begin(denoise, x, sigmas, callback)
    for i in range(first, len(levels) - 1):
        sigma_next = levels[i + 1]
        x, sigma = churn(x, levels, i)
        denoised = denoise(x, sigma)
        if sigma_next == 0:
            x = denoised
        else:
            slope = (x - denoised) / sigma
            ahead = x + (sigma_next - sigma) * slope
            slope_ahead = (ahead - denoise(ahead, sigma_next)) / sigma_next
            x = x + (sigma_next - sigma) * 0.5 * (slope + slope_ahead)
        report(callback, i, levels, x, denoised)
    return x
