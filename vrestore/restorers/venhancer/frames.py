"""Which frames are generated from which key frames, and which of them are shown."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

MOST = 8  # times the frame rate: the range that the model was trained on


@dataclass(frozen=True)
class FramePlan:
    """The generated clip: every `multiple`-th of its frames is a key frame, the last one included.

    Attributes:
        keys: frames handed in, >= 1.
        multiple: frames from one key frame to the next.
        shown: numbers of the generated frames that are handed out, in order.
    """

    keys: int
    multiple: int
    shown: Tensor

    @property
    def frames(self) -> int:
        """Frames generated."""
        return (self.keys - 1) * self.multiple + 1

    @property
    def source(self) -> Tensor:
        """The key frame (its number among the keys) that each generated frame starts as: the last one before it."""
        return torch.arange(self.frames) // self.multiple

    @property
    def key_frame_index(self) -> Tensor:
        """For each generated frame the number of its key frame, -1 where it is none."""
        is_key = torch.arange(self.frames) % self.multiple == 0
        return torch.where(is_key, self.source, -1)


def plan_frames(keys: int, factor: float) -> FramePlan:
    """A clip of ``round(keys * factor)`` frames, each the generated one that is nearest to its time.

    The network works at whole multiples of the frame rate: the nearest one, 1 to 8, is generated. Behind the last key
    frame nothing is known, so it is held for the rest of its time.

    Args:
        keys: frames handed in.
        factor: multiple of the frame rate, 1 to 8; a fraction is served with a warning.
    """
    multiple = _nearest(factor)
    if abs(factor - multiple) > 1e-6:
        warnings.warn(
            f"{factor:g} times the frame rate is no whole multiple: frames are generated at {multiple} times the rate "
            f"and resampled to the one nearest in time",
            stacklevel=4,
        )
    count = max(round(keys * factor), 1)
    position = torch.arange(count, dtype=torch.float64) * (multiple / factor)
    return FramePlan(keys, multiple, (position + 0.5 - 1e-9).floor().long().clamp(0, (keys - 1) * multiple))


def plan_official_frames(keys: int, factor: float) -> FramePlan:
    """The clip of the official releases: it ends with the last key frame, and its rate is a whole multiple.

    Their multiple is rounded half to even.
    """
    plan = FramePlan(keys, max(round(factor), 1), torch.empty(0))
    return FramePlan(keys, plan.multiple, torch.arange(plan.frames))


def _nearest(factor: float) -> int:
    return min(max(int(factor + 0.5), 1), MOST)
