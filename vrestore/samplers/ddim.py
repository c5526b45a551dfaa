"""DDIM."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, begin, need_noise, report, traits


@SAMPLERS.register_module()
@traits(order=1)
def ddim(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DDIM (Song et al., arXiv 2010.02502, equations 12 and 16) on the state divided by alpha.

    Args:
        eta: part of the noise that is drawn anew at each step: 0 is deterministic and equals Euler's method, 1 has
            DDPM's posterior variance.
        s_noise: factor on the noise drawn.

    See `vrestore.samplers.Sampler` for the other arguments.
    """
    if eta > 0:
        noise_sampler = need_noise(noise_sampler, "ddim")
    x, levels, first = begin(denoise, x, sigmas, callback)
    for i in range(first, len(levels) - 1):
        sigma, sigma_next = levels[i], levels[i + 1]
        denoised = denoise(x, sigma)
        kept, drawn = split_noise(sigma, sigma_next, eta)
        x = denoised + (kept / sigma) * (x - denoised)
        if drawn > 0 and noise_sampler is not None:
            x = x + noise_sampler(sigma, sigma_next) * (drawn * s_noise)
        report(callback, i, levels, x, denoised)
    return x


def split_noise(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Standard deviations, at the next level, of the noise that is kept and of the noise that is drawn anew."""
    drawn = min(sigma_next, eta * sigma_next * math.sqrt(sigma**2 - sigma_next**2) / sigma)
    return math.sqrt(sigma_next**2 - drawn**2), drawn
