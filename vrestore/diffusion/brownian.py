"""Brownian-tree noise: the increments of one path over the noise levels, whatever the steps between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vrestore.errors import ConfigError, require

# The settings that k-diffusion and its descendants share; another value gives other noise.
TOLERANCE = 1e-6
DIGITS = 6
POOL_SIZE = 24


class BrownianNoise:
    """Unit normal noise for steps between noise levels, cut from one seeded Brownian path over sigma.

    Steps over the same levels always get the same noise, and smaller steps refine it, so results for different numbers
    of steps resemble each other. A falling step has ``-(W(sigma) - W(sigma_next)) / sqrt(sigma - sigma_next)``, with
    torchsde's tree and k-diffusion's settings: equal to the official release's for the same seed and device.

    Args:
        like: tensor whose shape, dtype and device the noise has.
        sigmas: the solver's noise levels; their finite positive range is what the path covers.
        seed: of the path, 0 to 2**63 - 1.

    Raises:
        MissingDependencyError: torchsde is not installed (at the first call).
    """

    def __init__(self, like: Tensor, sigmas: Tensor | Sequence[float], seed: int):
        levels = [float(s) for s in sigmas]
        inside = [s for s in levels if 0 < s < math.inf]
        self.like = like
        self.seed = seed
        self.low, self.high = (min(inside), max(inside)) if inside else (0.0, 0.0)
        self._tree: Any = None

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        low, high = sorted((float(sigma), float(sigma_next)))
        if not self.low <= low < high <= self.high:
            raise ConfigError(
                f"Brownian noise over noise levels {self.low:.6g} to {self.high:.6g} was asked for a step from "
                f"{sigma:.6g} to {sigma_next:.6g}; use white noise with a sampler that raises the level (churn)"
            )
        if self._tree is None:
            self._tree = self._grow()
        # The tree rounds its ends to its tolerance and would warn of a query beyond them.
        inside = max(low, round(self.low, DIGITS)), min(high, round(self.high, DIGITS))
        increment = self._tree(*inside) / math.sqrt(high - low)
        return -increment if sigma > sigma_next else increment

    def _grow(self) -> Any:
        torchsde = require("torchsde", "diffusion", "Brownian-tree noise")
        start = torch.zeros_like(self.like)
        return torchsde.BrownianTree(self.low, start, self.high, entropy=self.seed, tol=TOLERANCE, pool_size=POOL_SIZE)
