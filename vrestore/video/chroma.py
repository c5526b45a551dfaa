"""Chroma planes to luma size and back: linear filters that respect where the chroma samples lie.

Positions are those of ITU-T H.273 (chroma sample location): `left` is co-sited with every second luma column and lies
half-way between two luma rows (MPEG-2, H.264, H.265, VP9 as they are met); `center` lies in the middle of its block in
both directions (JPEG, MPEG-1, Theora).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SITINGS = ("left", "center")


def enlarge(
    planes_CHW: Tensor,
    size: tuple[int, int],
    step: tuple[int, int],
    siting: str = "left",
    *,
    first_row: int = 0,
    out: Tensor | None = None,
) -> Tensor:
    """Chroma planes at luma size, by linear interpolation.

    Args:
        planes_CHW: (C, h, w) floating point.
        size: (height, width) of luma in pixels.
        step: (down, right) luma samples a chroma sample: 1, 2 or 4 each.
        siting: ``left`` or ``center``.
        first_row: luma rows to leave out at the top, for planes that begin above what is wanted.
        out: where to put the result, (C, height, width) float32 with lines in one piece; None makes a new tensor.
    """
    height, width = size
    down, right = step
    rows = _enlarge_axis(planes_CHW, down, 0.5, axis=1)[:, first_row : first_row + height]
    centred = 0.0 if siting == "left" else 0.5
    if out is None:
        return _enlarge_axis(rows, right, centred, axis=2)[..., :width]
    if right == 2 and width % 2 == 0:
        even, odd = _phases(rows, right, centred, axis=2)
        return _interleave(even, odd, out)
    return out.copy_(_enlarge_axis(rows, right, centred, axis=2)[..., :width])


def reduce(planes_CHW: Tensor, step: tuple[int, int], siting: str = "left") -> Tensor:
    """Planes of luma size at chroma size: the triangular filter that is the transpose of `enlarge`; edges repeat.

    Returns:
        (C, ceil(H / down), ceil(W / right)).
    """
    down, right = step
    columns = _reduce_axis(planes_CHW, right, 0.0 if siting == "left" else 0.5, axis=2)
    return _reduce_axis(columns, down, 0.5, axis=1)


def _enlarge_axis(planes: Tensor, factor: int, centred: float, axis: int) -> Tensor:
    """Linear interpolation along one axis.

    Args:
        centred: 0.5 where a chroma sample lies in the middle of its `factor` luma samples, 0 where on the first.
    """
    if factor == 1:
        return planes
    return torch.stack(_phases(planes, factor, centred, axis), axis + 1).flatten(axis, axis + 1)


def _phases(planes: Tensor, factor: int, centred: float, axis: int) -> list[Tensor]:
    """The samples at each of the `factor` luma positions of every chroma sample."""
    offsets = [(phase - centred * (factor - 1)) / factor for phase in range(factor)]  # in chroma samples
    return [_shifted(planes, offset, axis) for offset in offsets]


def _interleave(even: Tensor, odd: Tensor, out: Tensor) -> Tensor:
    """Alternate columns; as the parts of complex numbers that goes about three times as quickly as by strides."""
    pairs = out.numpy().view(np.complex64)
    pairs.real, pairs.imag = even.numpy(), odd.numpy()
    return out


def _shifted(planes: Tensor, offset: float, axis: int) -> Tensor:
    """Samples at `offset` (-1 to 1) from each sample, by linear interpolation; the edge repeats."""
    count = planes.shape[axis]
    if offset == 0 or count == 1:
        return planes
    out = torch.empty_like(planes)
    here, there = (1, 0) if offset < 0 else (0, 1)
    torch.lerp(
        planes.narrow(axis, here, count - 1),
        planes.narrow(axis, there, count - 1),
        abs(offset),
        out=out.narrow(axis, here, count - 1),
    )
    edge = 0 if offset < 0 else count - 1
    out.narrow(axis, edge, 1).copy_(planes.narrow(axis, edge, 1))
    return out


def _reduce_axis(planes: Tensor, factor: int, centred: float, axis: int) -> Tensor:
    if factor == 1:
        return planes
    centre = centred * (factor - 1)
    taps = [(t, 1 - abs(t - centre) / factor) for t in range(-factor, 2 * factor) if abs(t - centre) < factor]
    first, last = taps[0][0], taps[-1][0]
    count = -(-planes.shape[axis] // factor)
    behind = (count - 1) * factor + last - (planes.shape[axis] - 1)
    padded = _repeat_edges(planes, -first, behind, axis)
    total = sum(weight for _, weight in taps)
    out = None
    for position, weight in taps:
        start = position - first
        part = padded[(slice(None),) * axis + (slice(start, start + (count - 1) * factor + 1, factor),)]
        out = part * (weight / total) if out is None else out.add_(part, alpha=weight / total)
    assert out is not None
    return out


def _repeat_edges(planes: Tensor, before: int, behind: int, axis: int) -> Tensor:
    head, tail = planes.narrow(axis, 0, 1), planes.narrow(axis, planes.shape[axis] - 1, 1)
    if behind < 0:
        planes, behind = planes.narrow(axis, 0, planes.shape[axis] + behind), 0
    return torch.cat([head] * before + [planes] + [tail] * behind, axis)
