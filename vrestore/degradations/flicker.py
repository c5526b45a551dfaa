"""Unsteady light and colour: flicker from frame to frame, and a slow drift of the colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.draws import Range, check_number, check_range, told, walk
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class Flicker(Degradation):
    """Every frame is brighter or darker by a factor of its own, as with old film and unsteady exposure.

    Args:
        strength: standard deviation of the factor, which is 1 on average; drawn once a clip.
        memory: share of a frame's deviation that the next one keeps, from 0 (each on its own) to below 1.

    Raises:
        ConfigError: an impossible range.
    """

    def __init__(self, strength: Range = (0.02, 0.12), memory: float = 0.3):
        self.strength = check_range("Flicker", "strength", strength, 0, 1)
        self.memory = check_number("Flicker", "memory", memory, 0, 0.999)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        strength = float(rng.uniform(*self.strength))
        deviation = rng.standard_normal(len(frames_TCHW))
        fresh = float(np.sqrt(1 - self.memory**2))  # keeps the standard deviation at 1 over the frames
        for t in range(1, len(deviation)):
            deviation[t] = self.memory * deviation[t - 1] + fresh * deviation[t]
        gain = np.maximum(1 + strength * deviation, 0)
        lit = frames_TCHW * _by_frame(gain[:, None], frames_TCHW)
        return lit.clamp_(0, 1), {"name": "Flicker", "scale": 1, "strength": strength, "gain": told(gain)}


@DEGRADATIONS.register_module()
class ColourDrift(Degradation):
    """Each channel has a gain that walks slowly from frame to frame, as with fading film and restless white balance.

    Args:
        gain: least and most gain of a channel.
        step: its largest change between two frames (see `draws.walk`).

    Raises:
        ConfigError: an impossible range.
    """

    def __init__(self, gain: Range = (0.85, 1.15), step: float = 0.01):
        self.gain = check_range("ColourDrift", "gain", gain, 0, 10)
        self.step = check_number("ColourDrift", "step", step)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        n_frames, channels = frames_TCHW.shape[:2]
        gains = [walk(rng, self.gain, self.step, n_frames) for _ in range(channels)]
        drifted = frames_TCHW * _by_frame(np.stack(gains, 1), frames_TCHW)
        return drifted.clamp_(0, 1), {"name": "ColourDrift", "scale": 1, "gain": [told(gain) for gain in gains]}


def _by_frame(values_TC: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values_TC).to(like.device, like.dtype)[:, :, None, None]
