"""Small clips and restorers that the tests of the evaluation share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.resize import imresize
from vrestore.registry import DATASETS, MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales

X4 = Capabilities(spatial_scales=Scales(fixed=(4.0,)))


def moving_clip(seed: int, frames: int = 4, height: int = 64, width: int = 80, step_px=(1, 2)) -> Tensor:
    """A textured picture that moves by `step_px` (down, right) a frame: (T, 3, H, W), 8-bit levels in [0, 1]."""
    rng = np.random.default_rng(seed)
    h, w = height + 8 * frames, width + 8 * frames
    picture = torch.zeros(3, h, w, dtype=torch.float64)
    for cells, amplitude in ((4, 0.30), (11, 0.20), (29, 0.12)):
        grid = torch.from_numpy(rng.random((3, cells, cells)) - 0.5)
        picture += amplitude * imresize(grid, size=(h, w))
    picture = ((picture + 0.5).clamp(0, 1) * 255).round() / 255
    dy, dx = step_px
    return torch.stack([picture[:, t * dy : t * dy + height, t * dx : t * dx + width] for t in range(frames)]).float()


@DATASETS.register_module()
class TinyBenchmark:
    """A few moving clips with bicubic x4 partners.

    Args:
        clips: how many.
        frames: of each.
        seed: of the first one.
        size: (height, width) of the clean frames.
        with_hq: whether there is ground truth.
    """

    def __init__(self, clips: int = 2, frames: int = 3, seed: int = 0, size=(64, 80), with_hq: bool = True):
        self.count, self.frames, self.seed, self.size, self.with_hq = clips, frames, seed, size, with_hq
        self.name, self.degradation_name = "tiny", "BIx4"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        if not 0 <= index < self.count:
            raise IndexError(index)
        hq = moving_clip(self.seed + index, self.frames, *self.size)
        lq = (imresize(hq, scale=0.25).clamp(0, 1) * 255).round() / 255
        return {
            "clip": f"clip{index}",
            "lq": lq,
            "hq": hq if self.with_hq else None,
            "record": {"name": "BicubicDown", "scale": 4},
            "fps": None,
        }


class _X4(BaseRestorer):
    @property
    def capabilities(self) -> Capabilities:
        return X4

    def restore_frames(self, frames_TCHW, request):
        return imresize(frames_TCHW, scale=4)


@MODELS.register_module()
class NoisyX4(_X4):
    """Bicubic with noise from the global generator, as a careless plug-in draws it; one trainable gain."""

    def __init__(self, sigma: float = 0.02, gain: float = 1.0):
        super().__init__()
        self.sigma = sigma
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def restore_frames(self, frames_TCHW, request):
        clean = super().restore_frames(frames_TCHW, request) * self.gain
        return clean + self.sigma * torch.randn_like(clean)


@MODELS.register_module()
class FailingX4(_X4):
    """Fails on clips of a mean brightness above `above`, in the way named by `how`."""

    def __init__(self, how: str = "error", above: float = 0.0):
        super().__init__()
        self.how, self.above, self.calls = how, above, 0

    def restore_frames(self, frames_TCHW, request):
        self.calls += 1
        restored = super().restore_frames(frames_TCHW, request)
        if frames_TCHW.mean() <= self.above:
            return restored
        if self.how == "error":
            raise RuntimeError("out of luck\nwith details")
        if self.how == "interrupt":
            raise KeyboardInterrupt
        if self.how == "nan":
            return restored * float("nan")
        if self.how == "short":
            return restored[:-1]
        return restored.roll(2, dims=-1)  # "shift"
