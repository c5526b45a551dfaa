"""Euler's method."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, begin, report, traits
from vrestore.samplers.churn import Churn


@SAMPLERS.register_module()
@traits(order=1)
def euler(
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
    """Euler steps of the probability-flow ODE, with optional churn (Karras et al., arXiv 2206.00364, algorithm 2).

    See `vrestore.samplers.Sampler` for the arguments and `vrestore.samplers.churn.Churn` for those from s_churn on.
    """
    churn = Churn(noise_sampler, s_churn, s_tmin, s_tmax, s_noise, "euler")
    churn.start(sigmas)
    x, levels, first = begin(denoise, x, sigmas, callback)
    for i in range(first, len(levels) - 1):
        x, sigma = churn(x, levels, i)
        denoised = denoise(x, sigma)
        x = denoised + (levels[i + 1] / sigma) * (x - denoised)
        report(callback, i, levels, x, denoised)
    return x
