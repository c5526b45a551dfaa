"""DiffusersSampler: any of diffusers' schedulers as a sampler."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import ConfigError, require
from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, SamplerTraits, StepReport, begin, report

# The scheduler gets a table of our noise levels and nothing else, visits all of it, and is told the noise that our
# estimate of x0 leaves: the one prediction type that every scheduler knows.
FIXED = {"prediction_type": "epsilon", "timestep_spacing": "trailing"}
OURS = {*FIXED, "num_train_timesteps", "trained_betas"}
# What would bend that table, clamp latents as if they were pixels, or end above noise level 0.
NEUTRAL = {
    "clip_sample": False,
    "thresholding": False,
    "rescale_betas_zero_snr": False,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "set_alpha_to_one": True,
    "steps_offset": 0,
    "final_sigmas_type": "zero",
}
STEP_BASICS = ("self", "model_output", "timestep", "sample", "return_dict", "generator", "variance_noise", "kwargs")


@SAMPLERS.register_module()
class DiffusersSampler:
    """One adapter for the schedulers of the diffusers package, called as every `vrestore.samplers.Sampler` is.

    Args:
        scheduler: class name, for example ``'DEISMultistepScheduler'``: any scheduler over a table of betas.
        seed: of the noise of schedulers that draw their own (`EulerAncestralDiscreteScheduler`, …); None takes the
            noise sampler's seed if it has one, else 0. Schedulers that take noise (DDIM, DPM-Solver++ SDE, …) get the
            noise sampler's.
        **arguments: of the scheduler or of its step, for example ``algorithm_type='sde-dpmsolver++'`` or ``eta=0.5``.
            The table, its spacing and the prediction type are the adapter's.

    Raises:
        MissingDependencyError: diffusers is not installed.
        ConfigError: no scheduler of that name, one that is not made from betas, or an argument it does not take.
    """

    traits = SamplerTraits(discard_penultimate=True)

    def __init__(self, scheduler: str, seed: int | None = None, **arguments: Any):
        diffusers = require("diffusers", "diffusion", "DiffusersSampler")
        entry = getattr(diffusers, scheduler, None) if scheduler.endswith("Scheduler") else None
        if entry is None:
            raise ConfigError(f"diffusers has no scheduler called {scheduler!r}; their names end in 'Scheduler'")
        made = inspect.signature(entry.__init__).parameters
        step = inspect.signature(entry.step).parameters
        extra = {name: p for name, p in step.items() if name not in STEP_BASICS}
        foreign = [name for name, p in extra.items() if p.default is p.empty]
        if not set(made) >= OURS or foreign or "Inverse" in scheduler:
            raise ConfigError(
                f"{scheduler} is no solver over a table of betas, so it cannot follow a list of noise levels; "
                f"for example DPMSolverMultistepScheduler can"
            )
        for name in arguments:
            if name in OURS or not (name in made or name in extra):
                raise ConfigError(f"DiffusersSampler cannot set '{name}' of {scheduler}")
        self.scheduler = scheduler
        self.seed = seed
        self._entry = entry
        self._takes_noise = "variance_noise" in step
        self._takes_generator = "generator" in step
        self._step_arguments = {k: v for k, v in arguments.items() if k not in made}
        given = {k: v for k, v in arguments.items() if k in made}
        self._arguments = {**{k: v for k, v in NEUTRAL.items() if k in made}, **given, **FIXED}
        self._seeds_itself = "noise_sampler_seed" in made

    def __call__(
        self,
        denoise: Denoise,
        x: Tensor,
        sigmas: Tensor | Sequence[float],
        *,
        noise_sampler: NoiseSampler | None = None,
        callback: Callback | None = None,
    ) -> Tensor:
        """Sample; see `vrestore.samplers.Sampler`. The callback counts evaluations; some schedulers take two a step.

        Raises:
            ConfigError: the levels do not end at 0, where these schedulers always go, or the scheduler refuses them.
        """
        x, levels, first = begin(denoise, x, sigmas, callback)
        if levels[-1] != 0:
            raise ConfigError(
                f"{self.scheduler} always goes to noise level 0; the last one asked for is {levels[-1]:g}"
            )
        if first == len(levels) - 1:
            return x
        if first == len(levels) - 2:  # one step to 0 is x0 for every solver; not every scheduler can do with so few
            denoised = denoise(x, levels[first])
            report(callback, first, levels, denoised, denoised)
            return denoised
        seed = self.seed if self.seed is not None else getattr(noise_sampler, "seed", None) or 0
        scheduler = self._over(levels[first:-1], seed)
        generator = torch.Generator(x.device).manual_seed(seed)
        scaled = float(scheduler.scale_model_input(torch.ones(1), scheduler.timesteps[0])) != 1  # its state is ours
        state = x if scaled else x / math.sqrt(levels[first] ** 2 + 1)
        sigma = levels[first]
        for index, t in enumerate(scheduler.timesteps):
            x = state if scaled else state * math.sqrt(sigma**2 + 1)
            denoised = denoise(x, sigma)
            below = next(level for level in levels if level < sigma)
            extra = self._noise(noise_sampler, generator, x, sigma, below)
            state = scheduler.step((x - denoised) / sigma, t, state, **extra, **self._step_arguments).prev_sample
            state = state.to(x.dtype)
            ahead = scheduler.timesteps[index + 1 : index + 2]
            before, sigma = sigma, _level(scheduler, ahead[0], levels[first:-1], scaled) if len(ahead) else 0.0
            if callback is not None:
                x = state if scaled else state * math.sqrt(sigma**2 + 1)
                total = first + len(scheduler.timesteps)
                callback(StepReport(first + index + 1, total, before, sigma, x, denoised))
        return state

    def _over(self, levels: list[float], seed: int) -> Any:
        """The scheduler over exactly these falling noise levels, ready to step."""
        variance = np.array(levels[::-1]) ** 2
        kept = 1 / (1 + variance)  # the products of alphas, from the least noise to the most
        betas = 1 - kept / np.concatenate([[1.0], kept[:-1]])
        arguments = {"noise_sampler_seed": seed, **self._arguments} if self._seeds_itself else self._arguments
        try:
            scheduler = self._entry(num_train_timesteps=len(levels), trained_betas=betas, **arguments)
            scheduler.alphas_cumprod = torch.from_numpy(kept)  # its own float32 products lose the small levels
            scheduler.set_timesteps(len(levels))
        except (ValueError, TypeError, NotImplementedError, AssertionError, ImportError) as error:
            raise ConfigError(f"{self.scheduler} refuses {len(levels)} noise levels: {error}") from error
        if not {float(t) for t in scheduler.timesteps} >= set(map(float, range(len(levels)))):
            raise ConfigError(f"{self.scheduler} does not visit every noise level that it is given")
        return scheduler

    def _noise(
        self, noise_sampler: NoiseSampler | None, generator: torch.Generator, x: Tensor, sigma: float, below: float
    ) -> dict[str, Any]:
        if self._takes_noise and noise_sampler is not None:
            return {"variance_noise": noise_sampler(sigma, below) if below > 0 else torch.zeros_like(x)}
        return {"generator": generator} if self._takes_generator else {}


def _level(scheduler: Any, t: Tensor, levels: list[float], scaled: bool) -> float:
    """Noise level that the scheduler evaluates next: one of `levels`, or one between them."""
    if not scaled:
        return levels[len(levels) - 1 - int(t)]
    factor = float(scheduler.scale_model_input(torch.ones(1, dtype=torch.float64), t))
    listed = float(scheduler.sigmas[scheduler.step_index])
    if abs(1 / math.sqrt(listed**2 + 1) - factor) < 1e-6:
        return min(levels, key=lambda level: abs(math.log(level / listed)))
    # A level between ours is told by that factor alone.
    return math.sqrt(max(1 / factor**2 - 1, 1e-12))
