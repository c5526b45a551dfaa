"""Solvers: plain functions over a denoiser and a list of sigmas (SAMPLERS).

`Sampler` is their contract; `build_sampler` turns a name or a config into one; `traits_of` tells what a caller needs to
know of it.
"""

from vrestore.samplers.base import (
    Callback,
    Denoise,
    NoiseSampler,
    Sampler,
    SamplerTraits,
    StepReport,
    begin,
    check_sigmas,
    need_noise,
    report,
    traits,
    traits_of,
)
from vrestore.samplers.build import build_sampler
from vrestore.samplers.ddim import ddim
from vrestore.samplers.diffusers_sampler import DiffusersSampler
from vrestore.samplers.dpmpp_2m import dpmpp_2m
from vrestore.samplers.dpmpp_2m_sde import dpmpp_2m_sde
from vrestore.samplers.dpmpp_3m_sde import dpmpp_3m_sde
from vrestore.samplers.euler import euler
from vrestore.samplers.euler_ancestral import euler_ancestral
from vrestore.samplers.heun import heun
from vrestore.samplers.unipc import unipc

__all__ = [
    "Callback",
    "Denoise",
    "DiffusersSampler",
    "NoiseSampler",
    "Sampler",
    "SamplerTraits",
    "StepReport",
    "begin",
    "build_sampler",
    "check_sigmas",
    "ddim",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "euler",
    "euler_ancestral",
    "heun",
    "need_noise",
    "report",
    "traits",
    "traits_of",
    "unipc",
]
