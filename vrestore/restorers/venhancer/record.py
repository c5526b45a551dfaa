"""What the record of a degradation tells of key frames, noise and downscaling."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vrestore.errors import RequestError

DOWNSCALES = (1.0, 8.0)
MOST_NOISE = 1000  # the paper's is 300


@dataclass(frozen=True)
class Conditioning:
    """What the network is told of one degraded clip.

    Attributes:
        key_frame_index: (T,) for each clean frame the number of its key frame, -1 where it is none.
        downscale: factor by which the key frames are smaller, 1 to 8.
        strength: noise augmentation s, 0 to 1000, told as the noise level s - 1; None where the record is silent.
    """

    key_frame_index: Tensor
    downscale: float
    strength: int | None


def conditioning_of(
    record: Mapping[str, Any] | None, keys: int, frames: int, size: Sequence[int], target: Sequence[int]
) -> Conditioning:
    """Read a record; where it is silent, the clips themselves tell.

    Args:
        record: may hold ``key_frames`` (the clean frames that the degraded clip shows, rising) or ``key_frame_stride``,
            ``downscale`` (else ``scale``), and ``noise_level`` (a strength, as `Request.strength`); those of a composed
            degradation's steps are found as well, the last one counting.
        keys, frames: of the degraded and the clean clip.
        size, target: (height, width) of the degraded and of the clean clip.

    Raises:
        RequestError: they contradict each other.
    """
    told = flattened(record or {})
    factor = ((target[0] * target[1]) / (size[0] * size[1])) ** 0.5
    downscale = told.get("downscale", told.get("scale", factor))
    strength = told.get("noise_level")
    if strength is not None and not 0 <= strength <= MOST_NOISE:
        raise RequestError(f"the record's noise_level is {strength!r}; it must lie from 0 to {MOST_NOISE}")
    return Conditioning(
        _index(told, keys, frames),
        min(max(float(downscale), DOWNSCALES[0]), DOWNSCALES[1]),
        None if strength is None else int(strength),
    )


def flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's own entries over those of its steps, of which later ones win."""
    found: dict[str, Any] = {}
    for step in record.get("steps") or ():
        if isinstance(step, Mapping):
            found |= flattened(step)
    return {**found, **{name: value for name, value in record.items() if name != "steps"}}


def _index(told: Mapping[str, Any], keys: int, frames: int) -> Tensor:
    key_frames = told.get("key_frames")
    if key_frames is None:
        stride = told.get("key_frame_stride") or ((frames - 1) // (keys - 1) if keys > 1 else 1)
        key_frames = list(range(0, frames, int(stride)))[:keys] if keys < frames else list(range(frames))
    if len(key_frames) != keys or not _rising(key_frames) or not 0 <= key_frames[0] <= key_frames[-1] < frames:
        raise RequestError(
            f"a degraded clip of {keys} frames beside a clean one of {frames}, with the key frames {list(key_frames)}: "
            f"there must be one key frame for each degraded frame, rising, from 0 to {frames - 1}"
        )
    index = torch.full((frames,), -1, dtype=torch.long)
    index[torch.as_tensor(list(key_frames))] = torch.arange(keys)
    return index


def _rising(numbers: Sequence[int]) -> bool:
    return len(numbers) > 0 and all(a < b for a, b in itertools.pairwise(numbers))
