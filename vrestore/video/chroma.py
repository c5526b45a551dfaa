"""Chroma planes to luma size and back: linear filters that respect where the chroma samples lie.

Positions are those of ITU-T H.273 (chroma sample location): `left` is co-sited with every second luma column and lies
half-way between two luma rows (MPEG-2, H.264, H.265, VP9 as they are met); `center` lies in the middle of its block in
both directions (JPEG, MPEG-1, Theora).
"""

from __future__ import annotations

import torch
from torch import Tensor

SITINGS = ("left", "center")


def enlarge(planes_CHW: Tensor, size: tuple[int, int], step: tuple[int, int], siting: str = "left") -> Tensor:
    """Chroma planes at luma size, by linear interpolation.

    Args:
        planes_CHW: (C, h, w) floating point.
        size: (height, width) of luma in pixels.
        step: (down, right) luma samples a chroma sample: 1, 2 or 4 each.
        siting: ``left`` or ``center``.
    """
    down, right = step
    rows = _enlarge_axis(planes_CHW, down, 0.5, axis=1)[:, : size[0]]
    return _enlarge_axis(rows, right, 0.0 if siting == "left" else 0.5, axis=2)[..., : size[1]]


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
    # Offsets of the luma samples from their chroma sample, in chroma samples.
    offsets = [(phase - centred * (factor - 1)) / factor for phase in range(factor)]
    if factor == 2 and axis == 2 and planes.dtype == torch.float32:  # the quickest way to interleave two arrays
        even, odd = (_shifted(planes, offset, axis, torch.empty_like(planes)) for offset in offsets)
        return torch.view_as_real(torch.complex(even, odd)).flatten(2)
    shape = list(planes.shape)
    shape.insert(axis + 1, factor)
    out = planes.new_empty(shape)
    for phase, offset in enumerate(offsets):
        _shifted(planes, offset, axis, out.select(axis + 1, phase))
    return out.flatten(axis, axis + 1)


def _shifted(planes: Tensor, offset: float, axis: int, out: Tensor) -> Tensor:
    """Samples at `offset` (-1 to 1) from each sample, by linear interpolation; the edge repeats."""
    count = planes.shape[axis]
    if offset == 0 or count == 1:
        return out.copy_(planes)
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
