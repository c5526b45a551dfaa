"""Degradation: the contract of everything that turns a clean clip into a degraded one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS

Record = dict[str, Any]
BLOCK_FRAMES = 8
# What conditions a model; a chain lifts these from the records of its steps to its own.
CONDITIONS = ("downscale", "key_frame_stride", "key_frames", "noise_level", "frames", "size")


class Degradation(ABC):
    """Clean frames in, degraded frames and a record of what was done out.

    A subclass implements `__call__`. All randomness comes from the generator that is handed in, so that the same
    generator state gives the same bytes. The record is plain data (it survives `json.dumps`) and holds at least
    `name` and `scale`; it conditions a model in training, is stored in a benchmark's manifest and printed in reports.

    Attributes:
        scale: factor by which height and width shrink; 1 where the size stays, or where the factor is drawn for every
            clip: the record has it.
        draws_size: whether the size or the number of frames of the result is drawn for every clip.
        sets_size: whether the result's size follows from the clean clip's, whatever was done before.
        protocol: the short name that papers give the degradation (`BIx4`); the class name where there is none.
    """

    scale: float = 1
    draws_size: bool = False
    sets_size: bool = False

    @property
    def protocol(self) -> str:
        return type(self).__name__

    @abstractmethod
    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        """Degrade one clip.

        Args:
            frames_TCHW: float RGB frames (T, C, H, W) in [0, 1]; never changed in place.
            rng: source of everything that is drawn.

        Returns:
            Degraded frames (T', C, H', W') in [0, 1] of the same dtype, and the record.

        Raises:
            RequestError: frames of a wrong shape or type.
        """

    def for_input(self, height: int, width: int) -> Degradation:
        """This degradation as a step of a chain whose clean frames have the given size in pixels.

        Most do not care, and are the same; one that goes by the size of the chain's clean clip returns a copy of itself
        that knows it.
        """
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}(protocol={self.protocol!r}, scale={self.scale:g})"


@DEGRADATIONS.register_module()
class Identity(Degradation):
    """Leaves the clip as it is: for pairs whose degraded side is given, and as a neutral element."""

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        return frames_TCHW, {"name": "Identity", "scale": 1}


def check_clip(frames_TCHW: Tensor) -> None:
    """Refuse anything but a non-empty floating point clip (T, C, H, W).

    Raises:
        RequestError: says what the value is and what is right.
    """
    if not isinstance(frames_TCHW, Tensor) or frames_TCHW.ndim != 4 or 0 in frames_TCHW.shape:
        what = tuple(frames_TCHW.shape) if isinstance(frames_TCHW, Tensor) else type(frames_TCHW).__name__
        raise RequestError(f"a degradation takes a non-empty tensor of frames (T, C, H, W), got {what}")
    if not frames_TCHW.is_floating_point():
        raise RequestError(f"a degradation takes float frames in [0, 1], got {frames_TCHW.dtype}; divide 8 bit by 255")


def check_scale(name: str, scale: object, whole: bool = False) -> None:
    """Refuse a downscaling factor that is not a finite number >= 1.

    Raises:
        ConfigError: names the degradation, the value and what is allowed.
    """
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool) and math.isfinite(scale) and scale >= 1
    if not number or (whole and int(scale) != scale):  # type: ignore[call-overload]
        kind = "a whole number" if whole else "a finite number"
        raise ConfigError(f"{name} (DEGRADATIONS): scale must be {kind} >= 1, got {scale!r}")


def on_8bit_levels(filter_frames: Callable[[Tensor], Tensor], frames_TCHW: Tensor) -> Tensor:
    """Filter frames and round the result to the 256 levels of 8 bit, halves upwards, the same on every machine.

    Single precision is not enough for that: some published frames hold sums so near to a half level that its noise
    decides. So the filter runs in float64 on levels from 0 to 255, freed of the noise that 8-bit frames have as float32
    by rounding to 1/4096 of a level.

    Args:
        filter_frames: linear, treats each frame by itself, handed a few float64 frames at a time.
        frames_TCHW: values in [0, 1].

    Returns:
        (T, C, H', W') in [0, 1], multiples of 1/255, of the dtype of `frames_TCHW`.
    """
    blocks = []
    for block in frames_TCHW.split(BLOCK_FRAMES):  # so that float64 copies of a long clip never lie in memory together
        levels = block.double().mul_(255 * 4096).round_().div_(4096)
        rounded = filter_frames(levels).add_(0.5).floor_().clamp_(0, 255)
        blocks.append(rounded.to(frames_TCHW.dtype).div_(255))
    return torch.cat(blocks)


def to_8bit(frames: Tensor) -> Tensor:
    """Values in [0, 1], or beyond, as the nearest of 256 levels: uint8 on the CPU."""
    levels = frames.detach().clamp(0, 1).mul_(255).round_().float().cpu()
    return torch.from_numpy(levels.numpy().astype(np.uint8))  # NumPy narrows several times as quickly as PyTorch


def is_plain(frames: Tensor) -> bool:
    """Whether libraries for arrays can take the frames: float32 on the CPU, of which no gradient is asked."""
    return frames.device.type == "cpu" and frames.dtype == torch.float32 and not frames.requires_grad


def plain_number(value: float) -> int | float:
    """4.0 -> 4, so that a record and a protocol name read `x4`."""
    return int(value) if float(value).is_integer() else float(value)
