"""Where sampling starts: from data noised up to a timestep to a solver's state."""

from __future__ import annotations

import math

from torch import Tensor


def initial_state(noised: Tensor, sigma: float, *, corrected: bool = False) -> Tensor:
    """A solver's state at its first noise level.

    Args:
        noised: ``alpha x0 + vp_sigma noise`` at the first timestep (`NoiseSchedule.diffuse`), or unit noise.
        sigma: first k_sigma of the solver's list.
        corrected: divide by alpha, which is exact for noised data. The official release multiplies by k_sigma as if
            `noised` were unit noise; its state is too small by vp_sigma (0.09 % at timestep 899).

    Returns:
        State of the same shape; `noised` itself at an infinite sigma, as samplers expect it there.
    """
    sigma = float(sigma)
    if math.isinf(sigma):
        return noised
    return noised * (math.sqrt(sigma**2 + 1) if corrected else sigma)
