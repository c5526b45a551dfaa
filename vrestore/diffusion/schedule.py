"""NoiseSchedule: a table of noise levels, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vrestore.errors import RequestError


class NoiseSchedule:
    """Noise levels of a variance-preserving diffusion, ``x_t = alpha_t x_0 + sigma_t noise``, one a timestep.

    Timestep 0 holds the least noise. Solvers work with the same state divided by alpha, ``x = x_0 + k_sigma noise``
    (k-diffusion's convention); `t_to_sigma` and `sigma_to_t` translate. A last level without any signal has
    alpha 0 and an infinite k_sigma.

    Args:
        vp_sigmas: sigma of every timestep (n,), rising, in (0, 1]. Its dtype is the precision of all tables.
        name: for error messages.

    Attributes:
        vp_sigmas, alphas, k_sigmas, log_k_sigmas, logsnr: tables (n,) on the CPU; ``k_sigmas = vp_sigmas / alphas``.
    """

    def __init__(self, vp_sigmas: Tensor, name: str | None = None):
        variance = vp_sigmas**2
        self.name = name or type(self).__name__
        self.vp_sigmas = vp_sigmas
        self.alphas = _rounded(torch.sqrt, 1 - variance)
        self.k_sigmas = _rounded(torch.sqrt, variance / (1 - variance))
        self.logsnr = _rounded(torch.log, (1 - variance) / variance)
        self.log_k_sigmas = _rounded(torch.log, self.k_sigmas)

    def __len__(self) -> int:
        return len(self.vp_sigmas)

    def levels(self, t: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma of timesteps, shaped to multiply with `like`.

        Args:
            t: one timestep, or one a sample (B,). Integers are looked up; floats are interpolated in log k_sigma.
            like: tensor (B, …) that the levels are for; they get its device, and its dtype but at least float32.
        """
        steps = torch.as_tensor(t)
        self._check(steps)
        if steps.is_floating_point():
            k = self.t_to_sigma(steps)
            alpha, sigma = 1 / torch.sqrt(1 + k**2), 1 / torch.sqrt(1 + k**-2)
        else:
            index = steps.to("cpu", torch.long)
            alpha, sigma = self.alphas[index], self.vp_sigmas[index]
        dtype = torch.promote_types(like.dtype, torch.float32)
        shape = (-1, *[1] * (like.ndim - 1)) if alpha.ndim else ()
        return alpha.to(like.device, dtype).reshape(shape), sigma.to(like.device, dtype).reshape(shape)

    def diffuse(self, x0: Tensor, t: Tensor | int, noise: Tensor) -> Tensor:
        """Add noise up to a timestep: ``alpha_t x0 + sigma_t noise``.

        Args:
            x0: clean data (B, …).
            t: timestep, or one a sample (B,), 0 to n - 1.
            noise: unit normal noise of x0's shape.

        Raises:
            RequestError: a timestep outside of the schedule (a negative one never counts from the end).
        """
        alpha, sigma = self.levels(t, x0)
        return (alpha * x0 + sigma * noise).to(x0.dtype)

    def t_to_sigma(self, t: Tensor | float) -> Tensor:
        """k_sigma at whole or fractional timesteps, interpolated linearly in its logarithm.

        Between the last finite level and an infinite one the answer is infinite.
        """
        steps = torch.as_tensor(t).to("cpu", self.vp_sigmas.dtype)
        self._check(steps)
        low, high, weight = steps.floor().long(), steps.ceil().long(), steps.frac()
        log_sigma = (1 - weight) * self.log_k_sigmas[low] + weight * self.log_k_sigmas[high]
        return _rounded(torch.exp, torch.where(log_sigma.isfinite(), log_sigma, math.inf))

    def sigma_to_t(self, sigma: Tensor | float) -> Tensor:
        """Fractional timesteps of k_sigmas: the inverse of `t_to_sigma`; levels beyond the table give its ends."""
        table = self.log_k_sigmas
        log_sigma = _rounded(torch.log, torch.as_tensor(sigma).to("cpu", table.dtype))
        low = (torch.searchsorted(table, log_sigma.contiguous(), right=True) - 1).clamp(0, len(table) - 2)
        weight = ((table[low] - log_sigma) / (table[low] - table[low + 1])).clamp(0, 1)
        t = (1 - weight) * low + weight * (low + 1)
        return torch.where(log_sigma == math.inf, float(len(table) - 1), t)

    def _check(self, t: Tensor) -> None:
        last = len(self) - 1
        if t.numel() and (float(t.min()) < 0 or float(t.max()) > last):
            raise RequestError(f"a timestep of {self.name} must lie from 0 to {last}, got {t.tolist()}")


def rescale_to_zero_terminal_snr(vp_sigmas: Tensor) -> Tensor:
    """Shift and stretch the alphas so that the last one is 0 and the first one stays (arXiv 2305.08891, algorithm 1).

    A table that ends in pure noise already comes back as it is.
    """
    alphas = torch.sqrt(1 - vp_sigmas**2)
    if alphas[-1] == 0:
        return vp_sigmas
    alphas = (alphas - alphas[-1]) * (alphas[0] / (alphas[0] - alphas[-1]))
    return torch.sqrt(1 - alphas**2)


def _rounded(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function evaluated in float64 and rounded to x's precision.

    Float32 logarithms and roots differ in their last bit from processor to processor; this decides the timesteps that
    lie halfway between two whole ones, which must be the same everywhere.
    """
    return function(x.double()).to(x.dtype)
