"""What every sampler shares: its types, its traits, the checks of its noise levels, and the step out of pure noise."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from torch import Tensor

from vrestore.errors import ConfigError, RequestError

Denoise = Callable[[Tensor, float], Tensor]
NoiseSampler = Callable[[float, float], Tensor]


@dataclass(frozen=True)
class StepReport:
    """What a sampler's callback is told after each step.

    Attributes:
        step: number of the step that is done, from 1.
        steps: how many there are.
        sigma, sigma_next: noise levels before and after the step.
        x: state after the step.
        denoised: estimate of x0 that the step went by.
    """

    step: int
    steps: int
    sigma: float
    sigma_next: float
    x: Tensor
    denoised: Tensor


Callback = Callable[[StepReport], None]


class Sampler(Protocol):
    """``sample(denoise, x, sigmas, *, noise_sampler, callback) -> x``: a solver from noise to data.

    Args:
        denoise: ``(x, sigma) -> x0``, an estimate of the clean data of x's shape.
        x: state ``x0 + sigmas[0] noise``; where ``sigmas[0]`` is infinite, the unit noise itself. Never changed.
        sigmas: falling noise levels (n + 1,), n >= 1 steps. Only the first may be infinite, only the last 0.
        noise_sampler: ``(sigma, sigma_next) -> noise``, unit normal, of x's shape, for the step between two levels.
            Solvers without randomness never call it.
        callback: called after each step with a `StepReport`; what it raises stops the sampling.

    Returns:
        The state at ``sigmas[-1]``; at 0 the restored data.

    Raises:
        RequestError: noise levels that do not fall.
        ConfigError: a stochastic solver without a noise sampler.
    """

    def __call__(
        self,
        denoise: Denoise,
        x: Tensor,
        sigmas: Tensor | Sequence[float],
        *,
        noise_sampler: NoiseSampler | None = None,
        callback: Callback | None = None,
    ) -> Tensor: ...


@dataclass(frozen=True)
class SamplerTraits:
    """What a caller may want to know of a sampler, as data.

    Attributes:
        order: of convergence of its deterministic form.
        stochastic: whether it draws noise with its default arguments.
        evaluations_per_step: calls of the denoiser in a full step.
        discard_penultimate: whether it does better without the smallest positive noise level
            (see `vrestore.diffusion.sampling_sigmas`).
    """

    order: int = 1
    stochastic: bool = False
    evaluations_per_step: int = 1
    discard_penultimate: bool = False


F = TypeVar("F", bound=Callable)


def traits(**values: Any) -> Callable[[F], F]:
    """Give a sampler its `SamplerTraits`."""

    def mark(sampler: F) -> F:
        sampler.traits = SamplerTraits(**values)  # type: ignore[attr-defined]
        return sampler

    return mark


def traits_of(sampler: Any) -> SamplerTraits:
    """The traits of a sampler, also of one with arguments filled in; one without any has the defaults."""
    while isinstance(sampler, functools.partial):
        sampler = sampler.func
    return getattr(sampler, "traits", SamplerTraits())


def begin(
    denoise: Denoise, x: Tensor, sigmas: Tensor | Sequence[float], callback: Callback | None
) -> tuple[Tensor, list[float], int]:
    """Check the noise levels and take the step out of pure noise, if they start there.

    At an infinite level the state is its noise alone, so the step needs no solver: ``x = x0 + sigma_next noise``. It is
    no part of a multistep solver's history.

    Returns:
        The state, all noise levels, and the index of the level it is at (0 or 1).
    """
    levels = check_sigmas(sigmas)
    if not math.isinf(levels[0]):
        return x, levels, 0
    denoised = denoise(x, levels[0])
    x = denoised + levels[1] * x
    report(callback, 0, levels, x, denoised)
    return x, levels, 1


def report(callback: Callback | None, index: int, levels: list[float], x: Tensor, denoised: Tensor) -> None:
    """Tell the callback that the step from level `index` is done."""
    if callback is not None:
        callback(StepReport(index + 1, len(levels) - 1, levels[index], levels[index + 1], x, denoised))


def check_sigmas(sigmas: Tensor | Sequence[float]) -> list[float]:
    """Noise levels as numbers.

    Raises:
        RequestError: fewer than two, or not falling to 0 or above.
    """
    levels = [float(s) for s in sigmas]
    if len(levels) < 2 or levels[-1] < 0 or not all(a > b for a, b in itertools.pairwise(levels)):
        raise RequestError(f"a sampler needs at least two noise levels that fall to 0 or above, got {levels}")
    return levels


def need_noise(noise_sampler: NoiseSampler | None, sampler: str) -> NoiseSampler:
    """The noise sampler, or a ConfigError that names the sampler which needs one."""
    if noise_sampler is None:
        raise ConfigError(f"sampler '{sampler}' draws noise: hand it a noise_sampler (or eta=0, s_churn=0)")
    return noise_sampler
