"""The posterior of a less noisy level, given the data and a noisier one (DDPM, arXiv 2006.11239, equations 6 and 7)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vrestore.diffusion.schedule import NoiseSchedule

LOG_VARIANCE_LIMIT = 20.0


class Posterior(NamedTuple):
    """Mean, variance and log-variance of ``q(x_s | x_t, x_0)``; the last two broadcast against the first."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor


def posterior(
    schedule: NoiseSchedule, x0: Tensor, noised: Tensor, t: Tensor | int, s: Tensor | int | None = None
) -> Posterior:
    """Distribution of ``x_s`` for s < t.

    Args:
        schedule: of the noise.
        x0: clean data (B, …).
        noised: ``x_t`` of the same shape.
        t: timestep, or one a sample (B,).
        s: the less noisy timestep; None is t - 1. Below 0 it stands for the clean data.

    Returns:
        The posterior; its log-variance is clamped to ±20, so that the certain step to the data keeps a finite one.
    """
    t = torch.as_tensor(t).expand(len(x0))
    s = t - 1 if s is None else torch.as_tensor(s).expand(len(x0))
    alpha, sigma = schedule.levels(t, x0)
    alpha_s, _ = schedule.levels(s.clamp(min=0), x0)
    alpha_s = torch.where((s < 0).to(x0.device).view(alpha_s.shape), torch.ones_like(alpha_s), alpha_s)
    variance_s = 1 - alpha_s**2
    beta = 1 - (alpha / alpha_s) ** 2
    mean = beta * alpha_s / sigma**2 * x0 + alpha * variance_s / (alpha_s * sigma**2) * noised
    variance = beta * variance_s / sigma**2
    log_variance = variance.log().clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
    return Posterior(mean, variance, log_variance)
