"""Timestep spacings: from a number of steps to the noise levels that a solver visits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.diffusion.schedule import NoiseSchedule
from vrestore.errors import ConfigError, RequestError


def sampling_sigmas(
    schedule: NoiseSchedule,
    steps: int | Sequence[float] | Tensor | None = None,
    *,
    spacing: str = "trailing",
    t_max: int | None = None,
    t_min: int = 0,
    discard_penultimate: bool = False,
    exact_count: bool = True,
) -> Tensor:
    """Falling noise levels for a solver, the last one 0: as many steps as asked.

    Args:
        schedule: of the noise.
        steps: number of steps, >= 1; or the timesteps themselves, from noisy to clean. ``fast`` takes none.
        spacing: one of `SPACINGS`. ``trailing`` starts at t_max, ``leading`` ends at t_min, ``linspace`` does both
            (arXiv 2305.08891, table 2); ``fast`` is VEnhancer's fast mode, with `discard_penultimate` 14 steps: a third
            of them above timestep 500, two thirds below. ``karras`` (arXiv 2206.00364, equation 5) and ``loglinear``
            space the levels themselves, between those of t_max and t_min.
        t_max: first timestep; None is the schedule's last one. Below it, restoration starts from noised data.
        t_min: last timestep.
        discard_penultimate: leave out the smallest positive level, so that the last step to 0 is a larger one; the
            number of steps stays (an explicit list and ``fast`` lose one). See `vrestore.samplers.SamplerTraits`.
        exact_count: never more steps than asked. The official release's float32 ranges give one more for a few numbers
            (from 899: 94, 108, 189, …); False keeps that.

    Returns:
        k_sigmas (count + 1,) in the schedule's precision, strictly falling: levels that coincide are visited once. Only
        the first may be infinite: pure noise.

    Raises:
        RequestError: no step, or timesteps outside of the schedule or out of order.
        ConfigError: an unknown spacing.
    """
    t_max = len(schedule) - 1 if t_max is None else t_max
    if not 0 <= t_min <= t_max < len(schedule):
        raise RequestError(
            f"timesteps must satisfy 0 <= t_min <= t_max <= {len(schedule) - 1}, got t_min={t_min}, t_max={t_max}"
        )
    if isinstance(steps, (Sequence, np.ndarray, Tensor)) and not isinstance(steps, str):
        timesteps = _explicit(steps, t_min, t_max)
    elif spacing not in SPACINGS:
        raise ConfigError(f"spacing must be one of {', '.join(SPACINGS)}, got {spacing!r}")
    else:
        wanted = (0 if spacing == "fast" else _count(steps)) + (1 if discard_penultimate else 0)
        timesteps = SPACINGS[spacing](schedule, wanted, t_min, t_max)
        if exact_count and spacing != "fast" and len(timesteps) > wanted:
            timesteps = timesteps[-wanted:] if spacing == "leading" else timesteps[:wanted]
    sigmas = schedule.t_to_sigma(timesteps.clamp(t_min, t_max))
    falling = torch.ones(len(sigmas), dtype=torch.bool)
    falling[1:] = sigmas[1:] < sigmas[:-1]
    sigmas = sigmas[falling]
    if discard_penultimate and len(sigmas) > 1:
        sigmas = sigmas[:-1]
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _trailing(schedule: NoiseSchedule, steps: int, t_min: int, t_max: int) -> Tensor:
    return torch.arange(t_max, t_min - 1, -((t_max - t_min + 1) / steps), dtype=torch.float32)


def _leading(schedule: NoiseSchedule, steps: int, t_min: int, t_max: int) -> Tensor:
    return torch.arange(t_min, t_max + 1, (t_max - t_min + 1) / steps, dtype=torch.float32).flip(0)


def _linspace(schedule: NoiseSchedule, steps: int, t_min: int, t_max: int) -> Tensor:
    return torch.linspace(t_max, t_min, steps, dtype=torch.float32)


FAST_KNEE = 500
FAST_COUNTS = (4, 11)


def _fast(schedule: NoiseSchedule, steps: int, t_min: int, t_max: int) -> Tensor:
    """Few steps while the layout is decided, many while detail is (VEnhancer, release of 2024-08-19)."""
    above, below = FAST_COUNTS
    if t_max < FAST_KNEE + above:  # no room for steps of at least one timestep above the knee
        return _trailing(schedule, below, t_min, t_max)
    high = torch.arange(t_max, FAST_KNEE - 1, -((t_max - FAST_KNEE + 1) / above), dtype=torch.float32)
    return torch.cat([high, _trailing(schedule, below, min(t_min, FAST_KNEE), FAST_KNEE)])


def _karras(schedule: NoiseSchedule, steps: int, t_min: int, t_max: int) -> Tensor:
    high, low = _finite_ends(schedule, t_min, t_max)
    rho = 7.0
    ramp = torch.linspace(high ** (1 / rho), low ** (1 / rho), steps, dtype=torch.float64) ** rho
    return schedule.sigma_to_t(ramp)


def _loglinear(schedule: NoiseSchedule, steps: int, t_min: int, t_max: int) -> Tensor:
    high, low = _finite_ends(schedule, t_min, t_max)
    return schedule.sigma_to_t(torch.linspace(math.log(high), math.log(low), steps, dtype=torch.float64).exp())


def _finite_ends(schedule: NoiseSchedule, t_min: int, t_max: int) -> tuple[float, float]:
    levels = schedule.k_sigmas[t_min : t_max + 1]
    finite = levels[levels.isfinite()]
    if not len(finite):
        raise RequestError(f"spacing in noise levels needs a finite one, but timestep {t_max} is pure noise")
    return float(finite[-1]), float(finite[0])


Spacing = Callable[[NoiseSchedule, int, int, int], Tensor]
SPACINGS: dict[str, Spacing] = {
    "trailing": _trailing,
    "leading": _leading,
    "linspace": _linspace,
    "fast": _fast,
    "karras": _karras,
    "loglinear": _loglinear,
}


def _count(steps: Any) -> int:
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1:
        raise RequestError(f"steps must be a whole number >= 1, got {steps!r}")
    return int(steps)


def _explicit(steps: Any, t_min: int, t_max: int) -> Tensor:
    timesteps = torch.as_tensor(steps).to(torch.float32)
    if timesteps.ndim != 1 or not len(timesteps):
        raise RequestError(f"a list of timesteps must hold at least one, got {list(timesteps.shape)} values")
    if (timesteps.diff() > 0).any() or float(timesteps.min()) < t_min or float(timesteps.max()) > t_max:
        raise RequestError(f"timesteps must fall from at most {t_max} to at least {t_min}, got {timesteps.tolist()}")
    return timesteps
