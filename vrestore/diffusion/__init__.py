"""Noise schedules, prediction types, guidance, the denoiser wrapper (SCHEDULES).

How the parts meet, for a clip `latents` (B, C, T, H, W)::

    schedule = SCHEDULES.build(dict(type="LogSNRCosineInterp"))
    sampler = build_sampler("dpmpp_2m_sde")
    sigmas = sampling_sigmas(schedule, 15, t_max=899, discard_penultimate=traits_of(sampler).discard_penultimate)
    denoise = Denoiser(network, schedule, dict(text_BLD=prompt, …), guidance=Guidance(7.5, rescale=0.2),
                       negative=dict(text_BLD=negative_prompt), frame_axes=dict(key_frame_index=1))
    denoise = WindowedDenoiser(denoise, plan_key_frame_windows(latents.shape[2], stride))
    noised = schedule.diffuse(latents, 899, clip_noise(latents, seed, "start"))
    x = initial_state(noised, sigmas[0])
    x0 = sampler(denoise, x, sigmas, noise_sampler=clip_noise_sampler(x, sigmas, seed), callback=progress)

Gradients flow where they are enabled: wrap sampling in ``torch.no_grad()``.
"""

from vrestore.diffusion.beta_schedule import BetaSchedule
from vrestore.diffusion.brownian import BrownianNoise
from vrestore.diffusion.denoiser import Denoiser
from vrestore.diffusion.guidance import Guidance
from vrestore.diffusion.logsnr_cosine import LogSNRCosineInterp
from vrestore.diffusion.noise import (
    ClipBrownianNoise,
    ClipWhiteNoise,
    GeneratorNoise,
    NoiseSampler,
    clip_noise,
    clip_noise_sampler,
    draw_seed,
)
from vrestore.diffusion.posterior import Posterior, posterior
from vrestore.diffusion.prediction import PREDICTIONS, target, to_eps, to_x0
from vrestore.diffusion.schedule import NoiseSchedule, rescale_to_zero_terminal_snr
from vrestore.diffusion.start import initial_state
from vrestore.diffusion.timesteps import SPACINGS, sampling_sigmas
from vrestore.diffusion.windows import WindowedDenoiser, blend_weights, plan_key_frame_windows

__all__ = [
    "PREDICTIONS",
    "SPACINGS",
    "BetaSchedule",
    "BrownianNoise",
    "ClipBrownianNoise",
    "ClipWhiteNoise",
    "Denoiser",
    "GeneratorNoise",
    "Guidance",
    "LogSNRCosineInterp",
    "NoiseSampler",
    "NoiseSchedule",
    "Posterior",
    "WindowedDenoiser",
    "blend_weights",
    "clip_noise",
    "clip_noise_sampler",
    "draw_seed",
    "initial_state",
    "plan_key_frame_windows",
    "posterior",
    "rescale_to_zero_terminal_snr",
    "sampling_sigmas",
    "target",
    "to_eps",
    "to_x0",
]
