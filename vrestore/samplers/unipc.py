"""UniPC: a unified predictor-corrector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, begin, report, traits

VARIANTS = ("bh1", "bh2")


@SAMPLERS.register_module()
@traits(order=3, discard_penultimate=True)
def unipc(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    order: int = 2,
    variant: str = "bh2",
    corrector: bool = True,
) -> Tensor:
    """Multistep UniPC for networks' x0 (Zhao et al., arXiv 2302.04867, algorithms 5 and 6).

    Each step is predicted from the last `order` estimates, and corrected with the estimate at its own end, which is the
    next step's first one: the corrector costs no evaluation and raises the order by one.

    Args:
        order: of the predictor, 1 to 3.
        variant: the function B(h): ``bh1`` is h, ``bh2`` is 1 - exp(-h).
        corrector: False leaves the predictor alone.

    See `vrestore.samplers.Sampler` for the other arguments; `noise_sampler` is never called.

    Raises:
        ConfigError: an order or a variant that does not exist.
    """
    if order not in (1, 2, 3) or variant not in VARIANTS:
        raise ConfigError(f"unipc needs order 1, 2 or 3 and variant 'bh1' or 'bh2', got {order!r} and {variant!r}")
    x, levels, first = begin(denoise, x, sigmas, callback)
    history: list[tuple[Tensor, float]] = []  # (x0, -ln sigma) at the levels so far, the newest first
    ahead = denoise(x, levels[first]) if first < len(levels) - 1 else x
    for i in range(first, len(levels) - 1):
        sigma, sigma_next = levels[i], levels[i + 1]
        denoised = ahead
        if sigma_next == 0:
            x = denoised
        else:
            history = [(denoised, -math.log(sigma)), *history[: order - 1]]
            state = x
            x = _step(state, history, sigma, sigma_next, variant)
            if corrector or i + 2 < len(levels):
                ahead = denoise(x, sigma_next)
            if corrector:
                x = _step(state, history, sigma, sigma_next, variant, ahead)
        report(callback, i, levels, x, denoised)
    return x


def _step(
    x: Tensor,
    history: list[tuple[Tensor, float]],
    sigma: float,
    sigma_next: float,
    variant: str,
    ahead: Tensor | None = None,
) -> Tensor:
    """One prediction from `history`, or one correction where the estimate `ahead` at the step's end is known."""
    newest, start = history[0]
    h = -math.log(sigma_next) - start
    ratios = [(when - start) / h for _, when in history[1:]]
    differences = [(x0 - newest) / ratio for (x0, _), ratio in zip(history[1:], ratios, strict=True)]
    if ahead is not None:
        ratios.append(1.0)
        differences.append(ahead - newest)
    x = (sigma_next / sigma) * x - math.expm1(-h) * newest
    for weight, difference in zip(_weights(ratios, h, variant), differences, strict=True):
        x = x + weight * difference
    return x


def _weights(ratios: list[float], h: float, variant: str) -> list[float]:
    """Weights of ``(x0(start + r h) - x0(start)) / r`` that integrate the polynomial through all of them exactly.

    A single difference takes half of B(h) instead, which has the same order.
    """
    if len(ratios) < 2:
        return [0.5 * (h if variant == "bh1" else -math.expm1(-h))] * len(ratios)
    moments, integral = [], -math.expm1(-h)  # of exp(h (s - 1)) h s^k over s from 0 to 1
    for k in range(1, len(ratios) + 1):
        integral = 1 - k * integral / h
        moments.append(integral)
    powers = np.vander(np.array(ratios), increasing=True).T
    return np.linalg.solve(powers, np.array(moments)).tolist()
