"""Churn: noise added before a step, which raises the level that the step starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vrestore.samplers.base import NoiseSampler, need_noise


class Churn:
    """The stochastic part of Karras et al. (arXiv 2206.00364, algorithm 2).

    Args:
        noise_sampler: unit noise for a rise from one level to a higher one; needed where s_churn > 0.
        s_churn: amount over all steps, >= 0; 0 is none.
        s_tmin, s_tmax: noise levels between which it acts.
        s_noise: factor on the noise.
        sampler: name for error messages.
    """

    def __init__(
        self,
        noise_sampler: NoiseSampler | None,
        s_churn: float,
        s_tmin: float,
        s_tmax: float,
        s_noise: float,
        sampler: str,
    ):
        self.noise_sampler = need_noise(noise_sampler, sampler) if s_churn > 0 else None
        self.s_churn, self.s_tmin, self.s_tmax, self.s_noise = s_churn, s_tmin, s_tmax, s_noise

    def start(self, sigmas: Tensor | Sequence[float]) -> None:
        """Draw the noise of a step out of pure noise, which has no use for it: every step draws once, as the official
        release does, so that a generator gives each step the same noise wherever churn acts."""
        if self.noise_sampler is not None and math.isinf(float(sigmas[0])):
            self.noise_sampler(float(sigmas[0]), float(sigmas[1]))

    def __call__(self, x: Tensor, levels: list[float], index: int) -> tuple[Tensor, float]:
        """The state and level that the step from ``levels[index]`` starts from."""
        sigma = levels[index]
        if self.noise_sampler is None:
            return x, sigma
        gamma = 0.0
        if self.s_tmin <= sigma <= self.s_tmax:
            gamma = min(self.s_churn / (len(levels) - 1), math.sqrt(2) - 1)
        raised = sigma * (1 + gamma)
        noise = self.noise_sampler(sigma, raised)
        if gamma == 0:
            return x, sigma
        return x + noise * (self.s_noise * math.sqrt(raised**2 - sigma**2)), raised
