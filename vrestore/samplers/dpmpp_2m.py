"""DPM-Solver++(2M), the deterministic one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vrestore.registry import SAMPLERS
from vrestore.samplers.base import Callback, Denoise, NoiseSampler, traits
from vrestore.samplers.dpmpp_2m_sde import dpmpp_2m_sde


@SAMPLERS.register_module()
@traits(order=2, discard_penultimate=True)
def dpmpp_2m(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    noise_sampler: NoiseSampler | None = None,
    callback: Callback | None = None,
    solver_type: str = "midpoint",
) -> Tensor:
    """Second-order multistep solver of the probability-flow ODE (Lu et al., arXiv 2211.01095, algorithm 2).

    It is DPM-Solver++(2M) SDE without its noise. See `vrestore.samplers.dpmpp_2m_sde.dpmpp_2m_sde` for `solver_type`
    and `vrestore.samplers.Sampler` for the other arguments; `noise_sampler` is never called.
    """
    return dpmpp_2m_sde(denoise, x, sigmas, callback=callback, eta=0.0, solver_type=solver_type)
