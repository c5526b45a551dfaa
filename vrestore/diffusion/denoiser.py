"""Denoiser: a network, its schedule, its prediction type and its guidance as one function ``(x, sigma) -> x0``."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from vrestore.diffusion.conditions import Conditions, cut_frames, stack
from vrestore.diffusion.guidance import Guidance
from vrestore.diffusion.prediction import check_prediction, clamp_x0, threshold_x0, to_x0
from vrestore.diffusion.schedule import NoiseSchedule
from vrestore.errors import ConfigError

Network = Callable[..., Tensor]


class Denoiser:
    """What a sampler calls; everything that it need not know is in here.

    Args:
        network: called as ``network(noised, timesteps_B, **conditions)`` with the variance-preserving state
            (B, C, T, H, W) and one timestep a sample; returns a tensor of the state's shape.
        schedule: of the noise.
        conditions: keyword arguments of the network.
        prediction: what the network's output means: ``v``, ``eps`` or ``x0``.
        guidance: None calls the network once, with `conditions`.
        negative: conditions that replace those of the same name in the second call of guidance (the negative or empty
            prompt); the others are the same in both.
        clamp: clamp x0 to ±clamp.
        dynamic_threshold: clamp x0 at this quantile of its magnitudes (Imagen); for data in [-1, 1]. Not with `clamp`.
        round_timesteps: hand the network the nearest whole timestep, with that one's alpha and sigma, as the official
            release does. False interpolates: for networks that take fractional timesteps.
        frame_axes: time axis of each condition that has one entry a frame, by name, for `window`.
        dtype: of the network's input; None is the state's. Guidance and x0 are computed in float32 at least.

    Raises:
        ConfigError: an unknown prediction type, guidance without negative conditions, or both kinds of clamping.
    """

    def __init__(
        self,
        network: Network,
        schedule: NoiseSchedule,
        conditions: Conditions | None = None,
        *,
        prediction: str = "v",
        guidance: Guidance | None = None,
        negative: Conditions | None = None,
        clamp: float | None = None,
        dynamic_threshold: float | None = None,
        round_timesteps: bool = True,
        frame_axes: Mapping[str, int] | None = None,
        dtype: torch.dtype | None = None,
    ):
        check_prediction(prediction)
        if guidance is not None and guidance.scale != 1.0 and negative is None:
            raise ConfigError(f"guidance of scale {guidance.scale} needs negative conditions to steer away from")
        if clamp is not None and dynamic_threshold is not None:
            raise ConfigError("give clamp or dynamic_threshold, not both")
        if (clamp is not None and clamp <= 0) or (dynamic_threshold is not None and not 0 < dynamic_threshold <= 1):
            raise ConfigError(
                f"clamp must be > 0 and dynamic_threshold must lie in (0, 1], got {clamp} and {dynamic_threshold}"
            )
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.guidance = guidance
        self.conditions: dict[str, Any] = dict(conditions or {})
        self.negative: dict[str, Any] = {**self.conditions, **(negative or {})}
        self.clamp = clamp
        self.dynamic_threshold = dynamic_threshold
        self.round_timesteps = round_timesteps
        self.frame_axes = dict(frame_axes or {})
        self.dtype = dtype

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Estimate the clean data.

        Args:
            x: state ``x0 + sigma noise`` (B, C, T, H, W); at an infinite sigma the noise itself.
            sigma: k_sigma, one for the batch.

        Returns:
            x0 of x's shape and dtype.
        """
        sigma = float(sigma)
        t = self.schedule.sigma_to_t(sigma)
        noised = x if math.isinf(sigma) else x / math.sqrt(sigma**2 + 1)
        return self.at_timestep(noised, t.round().long() if self.round_timesteps else t, sigma)

    def at_timestep(self, noised: Tensor, t: Tensor | float, sigma: float | None = None) -> Tensor:
        """Estimate the clean data of a variance-preserving state.

        Args:
            noised: ``alpha_t x0 + sigma_t noise`` (B, C, T, H, W).
            t: timestep, one for the batch, or one a sample (B,) where guidance has no interval.
            sigma: k_sigma that the guidance interval is held against; None takes that of t.
        """
        t = torch.as_tensor(t)
        alpha, level = self.schedule.levels(t, noised)
        if sigma is None:
            sigma = float(self.schedule.t_to_sigma(t).max())
        output = self._output(noised, t.to(noised.device).expand(len(noised)), sigma)
        x0 = to_x0(self.prediction, output, noised, alpha, level)
        if self.clamp is not None:
            x0 = clamp_x0(x0, self.clamp)
        elif self.dynamic_threshold is not None:
            x0 = threshold_x0(x0, self.dynamic_threshold)
        return x0.to(noised.dtype)

    def window(self, start: int, stop: int) -> Denoiser:
        """The same denoiser for frames start to stop of the clip: conditions named in `frame_axes` are cut."""
        part = copy.copy(self)
        part.conditions = cut_frames(self.conditions, self.frame_axes, start, stop)
        part.negative = cut_frames(self.negative, self.frame_axes, start, stop)
        return part

    def _output(self, noised: Tensor, t_B: Tensor, sigma: float) -> Tensor:
        guidance = self.guidance
        if guidance is None or not guidance.acts_at(sigma):
            return self._call(noised, t_B, self.conditions)
        if guidance.batched:
            both = stack(self.conditions, self.negative, len(noised))
            positive, negative = self._call(torch.cat([noised, noised]), torch.cat([t_B, t_B]), both).chunk(2)
        else:
            positive = self._call(noised, t_B, self.conditions)
            negative = self._call(noised, t_B, self.negative)
        return guidance.mix(positive, negative)

    def _call(self, noised: Tensor, t_B: Tensor, conditions: Conditions) -> Tensor:
        output = self.network(noised if self.dtype is None else noised.to(self.dtype), t_B, **conditions)
        if output.shape != noised.shape:
            raise ConfigError(
                f"the network gave {tuple(output.shape)} for a state of {tuple(noised.shape)}; a denoiser needs the "
                f"same shape back"
            )
        return output.to(torch.promote_types(noised.dtype, torch.float32))
