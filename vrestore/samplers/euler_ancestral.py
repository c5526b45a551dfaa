"""Euler's method with ancestral noise."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, traits
from vrestore.samplers.ddim import ddim


@SAMPLERS.register_module()
@traits(order=1, stochastic=True)
def euler_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """An Euler step to a lower level, then fresh noise up to the next one.

    The same step as DDIM's with eta: removing part of the noise and drawing it anew is what both do. See
    `vrestore.samplers.ddim.ddim` and `vrestore.samplers.Sampler` for the arguments.
    """
    return ddim(denoise, x, sigmas, noise_sampler=noise_sampler, callback=callback, eta=eta, s_noise=s_noise)
