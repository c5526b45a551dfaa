"""DrawnClips: a tiny clip that is computed, for trials that need neither data nor a download."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vrestore.data.benchmarks.base import BICUBIC_X4, ClipBenchmark, Pair
from vrestore.data.clips import Clip
from vrestore.data.sizes import two_sides
from vrestore.errors import ConfigError
from vrestore.registry import DATASETS

FPS = Fraction(24)


@DATASETS.register_module()
class DrawnClips(ClipBenchmark):
    """One clip of waves and a disc that move smoothly, drawn by a formula: the same everywhere, and no real footage.

    It shows that a method runs; its scores say nothing of what methods do to videos.

    Args:
        n_frames: frames of the degraded clip.
        size: (height, width) of the clean frames in pixels.
        degradation: config that makes the degraded clip.
        time_step: as in `ClipBenchmark`.
        name: the benchmark's name in tables.
        seed: seed of what the degradation draws.

    Raises:
        ConfigError: an argument out of range.
    """

    def __init__(
        self,
        n_frames: int = 3,
        size: int | tuple[int, int] = (64, 64),
        degradation: Mapping[str, Any] = BICUBIC_X4,
        time_step: int = 1,
        name: str = "drawn clip",
        seed: int = 0,
    ):
        for key, value in (("n_frames", n_frames), ("time_step", time_step)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"DrawnClips: {key} must be a whole number >= 1, got {value!r}")
        clip = Clip(Path("drawn"), "drawn", n_frames * time_step, *two_sides(size, "DrawnClips: size"), FPS * time_step)
        super().__init__([Pair(clip.name, hq=clip)], name, degradation, seed=seed, time_step=time_step)

    def _frames(self, clip: Clip | None) -> Tensor | None:
        if clip is None:
            return None
        frames = [draw_frame(clip.height, clip.width, t / self.time_step) for t in range(clip.n_frames)]
        return torch.stack(frames).mul_(255).round_().div_(255)


def draw_frame(height: int, width: int, time: float) -> Tensor:
    """One frame (3, height, width) in [0, 1]; the motion is a pixel a frame or so."""
    y, x = torch.meshgrid(torch.arange(height, dtype=torch.float32), torch.arange(width).float(), indexing="ij")
    fine = torch.sin((x + 0.8 * time) * 0.9) * torch.sin((y - 0.5 * time) * 0.7)
    coarse = torch.sin((x - time) * 0.13 + 1) + torch.cos((y + 1.2 * time) * 0.17)
    disc = ((x - width * 0.4 - 1.5 * time) ** 2 + (y - height * 0.5) ** 2 < (height * 0.2) ** 2).float()
    planes = [0.5 + 0.15 * fine + 0.15 * coarse, 0.45 + 0.1 * fine - 0.12 * coarse, 0.55 - 0.2 * fine + 0.1 * coarse]
    colours = (0.9, 0.6, 0.2)
    return torch.stack([p + (c - p) * 0.8 * disc for p, c in zip(planes, colours, strict=True)]).clamp_(0, 1)
