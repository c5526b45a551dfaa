"""SpaceTimeDown: the space-time augmentation that VEnhancer trains with."""

from __future__ import annotations

import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.draws import Range, check_flag, check_range
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class SpaceTimeDown(Degradation):
    """Keeps every m-th frame, small: what a generative space-time enhancer has to go by (VEnhancer, He et al., 2024).

    Drawn once a clip, and recorded for the loss:

    - `key_frame_stride`, uniformly of the whole numbers of its range: every so many frames one is kept;
    - `downscale` s with a density proportional to s: hard cases are frequent, x8 twice as much as x4;
    - `noise_level`, uniformly of the whole numbers of its range: the step of the diffusion schedule to which the
      *model* noises the latents of the key frames. The frames here stay without that noise.

    The result holds the key frames alone, shrunk bilinearly without antialiasing to round(side / s); a model enlarges
    them bilinearly to the recorded `size`, in training as in use. The paper's recipe is that of the defaults.

    The record has `scale` and `downscale` (s), `key_frame_stride` (m), `key_frames` (their indices in the clean clip:
    0, m, 2m, …), `noise_level`, and `frames` and `size` ([height, width]) of the clean clip.

    Args:
        downscale: least and most factor.
        key_frame_stride: least and most step between key frames; a clip too short for a step draws a smaller one.
        noise_level: least and most step of the noise.
        keep_size: enlarge the frames back to the clean size here, bilinearly.
        whole_intervals: draw only among the steps after which a key frame is the last frame, where there is one.

    Raises:
        ConfigError: an impossible range.
    """

    draws_size = True

    def __init__(
        self,
        downscale: Range = (1.0, 8.0),
        key_frame_stride: tuple[int, int] = (1, 8),
        noise_level: tuple[int, int] = (1, 300),
        keep_size: bool = False,
        whole_intervals: bool = False,
    ):
        me = "SpaceTimeDown"
        self.downscale = check_range(me, "downscale", downscale, 1)
        self.key_frame_stride = check_range(me, "key_frame_stride", key_frame_stride, 1, whole=True)
        self.noise_level = check_range(me, "noise_level", noise_level, 0, 999, whole=True)
        self.keep_size = check_flag(me, "keep_size", keep_size)
        self.whole_intervals = check_flag(me, "whole_intervals", whole_intervals)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        n_frames, _, height, width = frames_TCHW.shape
        low, high = self.downscale
        # The inverse of the distribution function (s^2 - low^2) / (high^2 - low^2).
        downscale = round(math.sqrt(low**2 + rng.random() * (high**2 - low**2)), 6)
        strides = self._strides(n_frames)
        stride = int(strides[rng.integers(len(strides))])
        noise_level = int(rng.integers(int(self.noise_level[0]), int(self.noise_level[1]) + 1))
        key_frames = list(range(0, n_frames, stride))
        size = (max(1, round(height / downscale)), max(1, round(width / downscale)))
        keys = F.interpolate(frames_TCHW[::stride], size=size, mode="bilinear", align_corners=False)
        if self.keep_size:
            keys = F.interpolate(keys, size=(height, width), mode="bilinear", align_corners=False)
        return keys.clamp_(0, 1), {
            "name": "SpaceTimeDown",
            "scale": 1 if self.keep_size else downscale,
            "downscale": downscale,
            "key_frame_stride": stride,
            "key_frames": key_frames,
            "noise_level": noise_level,
            "frames": n_frames,
            "size": [height, width],
        }

    def _strides(self, n_frames: int) -> list[int]:
        low, high = (int(step) for step in self.key_frame_stride)
        possible = [m for m in range(low, high + 1) if m < n_frames] or [max(1, min(low, n_frames - 1))]
        if self.whole_intervals:
            return [m for m in possible if (n_frames - 1) % m == 0] or possible
        return possible
