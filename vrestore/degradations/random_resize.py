"""Resizing within real-world recipes: by a drawn factor that walks from frame to frame, and to the final size."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip, check_scale, is_plain, plain_number
from vrestore.degradations.draws import Range, check_flag, check_number, check_range, check_weights, choose, told, walk
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS

OPS = ("bilinear", "area", "bicubic", "nearest")
USUAL_OPS = ("bilinear", "area", "bicubic")
MODES = ("up", "down", "keep")
USUAL_MODES = {"up": 0.2, "down": 0.7, "keep": 0.1}  # RealBasicVSR's and Real-ESRGAN's first order


@DEGRADATIONS.register_module()
class RandomResize(Degradation):
    """Resizing by a drawn factor, with a drawn filter and without antialiasing, as in RealBasicVSR and Real-ESRGAN.

    Whether it enlarges, shrinks or keeps, and the filter, are drawn once a clip; the factor walks from frame to frame
    (see `draws.walk`). Each frame is resized to its own size, and then to that of the first frame, so that a clip keeps
    one size: the published pipeline leaves that second resizing to the video encoder that follows.

    Args:
        modes: how often the clip is enlarged (`up`), made smaller (`down`) or kept (`keep`).
        factor: least and most factor; `up` draws from 1 to the most, `down` from the least to 1.
        step: largest change of the factor between two frames.
        ops: how often each filter of OPS is drawn.
        even: round sizes down to even numbers, as video codecs want them.

    Raises:
        ConfigError: an impossible range, or an unknown mode or filter.
    """

    draws_size = True

    def __init__(
        self,
        modes: Any = USUAL_MODES,
        factor: Range = (0.15, 1.5),
        step: float = 0.015,
        ops: Any = USUAL_OPS,
        even: bool = True,
    ):
        self.modes = check_weights("RandomResize", "modes", modes, MODES)
        self.factor = check_range("RandomResize", "factor", factor, 1e-3)
        if not self.factor[0] <= 1 <= self.factor[1]:
            raise ConfigError(f"RandomResize (DEGRADATIONS): factor must be (low <= 1, high >= 1), got {factor!r}")
        self.step = check_number("RandomResize", "step", step)
        self.ops = check_weights("RandomResize", "ops", ops, OPS)
        self.even = check_flag("RandomResize", "even", even)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        height, width = frames_TCHW.shape[-2:]
        mode, op = choose(rng, self.modes), choose(rng, self.ops)
        low, high = self.factor
        ranges = {"up": (1.0, high), "down": (low, 1.0), "keep": (1.0, 1.0)}
        start = float(rng.uniform(*ranges[mode]))
        step = 0.0 if mode == "keep" else self.step
        factors = walk(rng, self.factor, step, len(frames_TCHW), start)
        sizes = [(self._side(height, f), self._side(width, f)) for f in factors]
        resized = []
        for first, last in _runs(sizes):
            own = resize(frames_TCHW[first:last], sizes[first], op)
            resized.append(resize(own, sizes[0], op))
        record = {"name": "RandomResize", "scale": plain_number(height / sizes[0][0]), "mode": mode, "op": op}
        return torch.cat(resized).clamp_(0, 1), {**record, "factor": told(factors)}

    def _side(self, side: int, factor: float) -> int:
        return max(int(side * factor) // 2 * 2, 2) if self.even else max(round(side * factor), 1)


@DEGRADATIONS.register_module()
class ResizeTo(Degradation):
    """Resizing to the clean clip's size divided by `scale`, whatever sizes the steps before have made.

    Args:
        scale: factor between the clean clip and the result.
        ops: how often each filter of OPS is drawn.

    Raises:
        ConfigError: `scale` is no number >= 1, or an unknown filter.
    """

    sets_size = True

    def __init__(self, scale: float = 4, ops: Any = USUAL_OPS):
        check_scale("ResizeTo", scale)
        self.scale = plain_number(scale)
        self.ops = check_weights("ResizeTo", "ops", ops, OPS)
        self._size: tuple[int, int] | None = None

    def for_input(self, height: int, width: int) -> ResizeTo:
        """A copy that resizes to these sides divided by `scale`, rounded up."""
        bound = copy.copy(self)
        bound._size = (height, width)
        return bound

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        op = choose(rng, self.ops)
        height, width = self._size or frames_TCHW.shape[-2:]
        size = (-int(-height // self.scale), -int(-width // self.scale))
        scale = plain_number(frames_TCHW.shape[-2] / size[0])
        resized = resize(frames_TCHW, size, op)
        resized = resized if resized is frames_TCHW else resized.clamp_(0, 1)
        return resized, {"name": "ResizeTo", "scale": self.scale if self._size is None else scale, "op": op}


def resize(frames_TCHW: Tensor, size: tuple[int, int], op: str) -> Tensor:
    """Frames of the given (height, width), made by PyTorch's filter `op` (one of OPS) without antialiasing.

    On the CPU, `bilinear` and `bicubic` are OpenCV's, which are the same filters several times as fast; they differ by
    up to 3e-5 of the range, by the rounding of the places that are looked up (`tools/benchmarks/degradations.py`).
    """
    if tuple(frames_TCHW.shape[-2:]) == tuple(size):
        return frames_TCHW
    if op in ("bilinear", "bicubic") and is_plain(frames_TCHW):
        return _opencv(frames_TCHW, size, op)
    corners = {"align_corners": False} if op in ("bilinear", "bicubic") else {}
    return F.interpolate(frames_TCHW, size=size, mode=op, **corners)


def _opencv(frames_TCHW: Tensor, size: tuple[int, int], op: str) -> Tensor:
    import cv2

    interpolation = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[op]
    planes = frames_TCHW.contiguous().flatten(0, 1).numpy()
    out = np.empty((len(planes), *size), dtype=np.float32)
    for target, plane in zip(out, planes, strict=True):
        cv2.resize(plane, (size[1], size[0]), dst=target, interpolation=interpolation)
    return torch.from_numpy(out).view(*frames_TCHW.shape[:2], *size)


def _runs(values: list) -> list[tuple[int, int]]:
    """(first, last + 1) of each run of equal values."""
    starts = [i for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
    return list(zip(starts, [*starts[1:], len(values)], strict=True))
