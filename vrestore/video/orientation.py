"""Display orientation: the rotation and mirroring that a file asks its player for."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import av
import torch
from torch import Tensor


@dataclass(frozen=True)
class Orientation:
    """How decoded frames are turned to be shown: mirrored first, then turned clockwise.

    Attributes:
        degrees: clockwise, 0, 90, 180 or 270.
        mirrored: left and right swapped before turning.
        ignored_degrees: an angle that is no multiple of 90, which is left alone.
    """

    degrees: int = 0
    mirrored: bool = False
    ignored_degrees: float = 0.0

    @property
    def swaps_sides(self) -> bool:
        return self.degrees in (90, 270)

    def apply(self, frame_CHW: Tensor) -> Tensor:
        """The frame as it is shown."""
        if self.mirrored:
            frame_CHW = frame_CHW.flip(-1)
        return torch.rot90(frame_CHW, -self.degrees // 90, (-2, -1)) if self.degrees else frame_CHW


UPRIGHT = Orientation()
_EXIF = {2: (0, True), 3: (180, False), 4: (180, True), 5: (270, True), 6: (90, False), 7: (90, True), 8: (270, False)}


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation in a frame's display matrix."""
    held: Any
    try:
        held = frame.side_data
    except ValueError:  # PyAV gives up on all of it when it knows one kind of side data not; the angle it tells apart
        return Orientation(degrees=round(-frame.rotation / 90) * 90 % 360)
    for data in held:
        if data.type.name == "DISPLAYMATRIX":
            return _from_matrix(struct.unpack("<9i", bytes(memoryview(data))[:36]))
    return UPRIGHT


def orientation_of_exif(code: int) -> Orientation:
    """The orientation that an EXIF tag 274 asks for; 1 is upright, as is any number that the standard does not know."""
    degrees, mirrored = _EXIF.get(code, (0, False))
    return Orientation(degrees, mirrored)


def _from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """The matrix takes stored to shown positions: x' = a x + c y, y' = b x + d y, with y downwards."""
    a, b, _, c, d = matrix[:5]
    largest = max(abs(v) for v in (a, b, c, d))
    if largest == 0:
        return UPRIGHT
    unit = tuple(round(v / largest) for v in (a, b, c, d))
    known = {
        (1, 0, 0, 1): (0, False),
        (0, 1, -1, 0): (90, False),
        (-1, 0, 0, -1): (180, False),
        (0, -1, 1, 0): (270, False),
        (-1, 0, 0, 1): (0, True),
        (0, 1, 1, 0): (270, True),
        (1, 0, 0, -1): (180, True),
        (0, -1, -1, 0): (90, True),
    }
    slanted = any(0.02 < abs(v) / largest < 0.98 for v in (a, b, c, d))
    if slanted or unit not in known:
        return Orientation(ignored_degrees=math.degrees(math.atan2(b, a)))
    return Orientation(*known[unit])
