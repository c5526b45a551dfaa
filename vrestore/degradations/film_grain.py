"""FilmGrain: the structure of photographic film."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.blur_down import gaussian
from vrestore.degradations.draws import Range, check_prob, check_range
from vrestore.degradations.filtering import filter_frames
from vrestore.degradations.noise import GRAY_WEIGHTS
from vrestore.degradations.random_fields import normal_field
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class FilmGrain(Degradation):
    """Grain: normal noise, smoothed to clumps, strongest in the mid-tones, new in every frame.

    Its standard deviation is `strength` at a luma of 1/2 and falls with 4 Y (1 - Y) towards black and white. Strength
    and size stay for the whole clip, as one stock of film does.

    Args:
        strength: standard deviation in mid-gray, in levels of 8 bit.
        size: standard deviation of the smoothing in pixels, which is about the radius of a clump.
        colour_prob: how often the three layers have grain of their own instead of one that they share.

    Raises:
        ConfigError: an impossible range or probability.
    """

    def __init__(self, strength: Range = (3.0, 15.0), size: Range = (0.4, 1.2), colour_prob: float = 0.5):
        self.strength = check_range("FilmGrain", "strength", strength, 0, 255)
        self.size = check_range("FilmGrain", "size", size, 0.1, 20)
        self.colour_prob = check_prob("FilmGrain", "colour_prob", colour_prob)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        strength, size = float(rng.uniform(*self.strength)), float(rng.uniform(*self.size))
        coloured = bool(rng.random() < self.colour_prob)
        n_frames, channels, height, width = frames_TCHW.shape
        grain = normal_field((n_frames, channels if coloured else 1, height, width), rng).to(frames_TCHW)
        radius = max(1, round(3 * size))
        taps = gaussian(np.arange(-radius, radius + 1), size)
        kernel = np.outer(taps, taps)
        grain = filter_frames(grain, kernel[None], separable=True)
        grain *= strength / 255 / float(np.sqrt(np.square(kernel).sum()))
        luma = frames_TCHW.mean(1, keepdim=True)
        if channels == 3:
            luma = torch.einsum("tchw,c->thw", frames_TCHW, frames_TCHW.new_tensor(GRAY_WEIGHTS))[:, None]
        grained = frames_TCHW + grain * (4 * luma * (1 - luma)).clamp_(0, 1)
        record = {"name": "FilmGrain", "scale": 1, "strength": strength, "size": size, "colour": coloured}
        return grained.clamp_(0, 1), record
