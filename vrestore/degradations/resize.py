"""imresize: resizing as MATLAB does it, which defines the BIx4 of the papers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import RequestError

MOST_PHASES = 16  # a filter whose weights repeat at most this seldom runs on slices, any other on gathered samples


def imresize(
    frames: Tensor,
    scale: float | tuple[float, float] | None = None,
    size: tuple[int, int] | None = None,
    antialias: bool = True,
    kernel: str = "cubic",
) -> Tensor:
    """Resize the last two dimensions as MATLAB's `imresize` does for floating point images.

    Pixel centres are aligned at half pixels, borders are mirrored with the edge pixel repeated, weights are normalised,
    and a shrinking antialiased kernel is widened by the factor. Weights are computed in float64. Values are not clamped
    (bicubic and Lanczos overshoot); gradients flow through.

    Args:
        frames: (..., H, W), floating point, any range.
        scale: factor, or (vertical, horizontal) factors, > 0; the result has ceil(side * scale) pixels a side.
        size: (height, width) of the result, instead of `scale`; the factors follow from it.
        antialias: widen the kernel when shrinking.
        kernel: `cubic` (a = -0.5), `cubic75` (a = -0.75), `linear`, `lanczos2`, `lanczos3` or `box`.

    Returns:
        (..., H', W') of the same dtype and device; half-precision input is filtered in float32.

    Raises:
        RequestError: neither or both of `scale` and `size`, a value out of range, or a tensor that holds no images.
    """
    if not isinstance(frames, Tensor) or frames.ndim < 2 or not frames.is_floating_point() or 0 in frames.shape[-2:]:
        what = f"{frames.dtype} {tuple(frames.shape)}" if isinstance(frames, Tensor) else type(frames).__name__
        raise RequestError(f"imresize takes a floating point tensor (..., H, W), got {what}")
    if kernel not in KERNELS:
        raise RequestError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    sides_in = (frames.shape[-2], frames.shape[-1])
    factors, sides_out = _plan(sides_in, scale, size)
    dtype = frames.dtype
    result = frames if dtype in (torch.float32, torch.float64) else frames.float()
    # MATLAB filters the axis that shrinks most first; on a tie, rows first.
    for axis in sorted((0, 1), key=lambda a: factors[a]):
        if sides_out[axis] == sides_in[axis] and factors[axis] == 1:
            continue
        taps = _taps(sides_in[axis], sides_out[axis], factors[axis], antialias, kernel)
        result = _filter(result, axis - 2, taps)
    return result.to(dtype)


def _plan(sides_in: tuple[int, int], scale, size) -> tuple[tuple[float, float], tuple[int, int]]:
    """The factor and the output length of each axis."""
    if (scale is None) == (size is None):
        raise RequestError(f"imresize takes either scale or size, got scale={scale!r} and size={size!r}")
    if size is not None:
        if len(size) != 2 or any(int(s) != s or s < 1 for s in size):
            raise RequestError(f"size must be (height, width), two whole numbers >= 1, got {size!r}")
        out = (int(size[0]), int(size[1]))
        return (out[0] / sides_in[0], out[1] / sides_in[1]), out
    pair = tuple(scale) if isinstance(scale, (tuple, list)) else (scale, scale)
    if len(pair) != 2 or any(not math.isfinite(f) or f <= 0 for f in pair):
        raise RequestError(f"scale must be a finite number > 0 (or one for each axis), got {scale!r}")
    factors = (float(pair[0]), float(pair[1]))
    return factors, (math.ceil(sides_in[0] * factors[0]), math.ceil(sides_in[1] * factors[1]))


class _Taps(NamedTuple):
    """How each output sample is made along one axis.

    Output sample `o` is the sum over `t` of `weight[t, o]` times the input sample `first[o] + t`, borders mirrored.
    Where the pattern repeats every `period` outputs, which is `advance` inputs later, `period` is > 0.
    """

    n_in: int
    first: np.ndarray
    weight: np.ndarray
    period: int
    advance: int


@lru_cache(maxsize=64)
def _taps(n_in: int, n_out: int, factor: float, antialias: bool, kernel: str) -> _Taps:
    function, width = KERNELS[kernel]
    shrink = factor if antialias and factor < 1 else 1.0
    width = width / shrink
    centre = (np.arange(n_out) + 0.5) / factor - 0.5  # where the output sample lies among the input's
    first = np.floor(np.round(centre - width / 2, 9)).astype(np.int64)
    offset = np.arange(math.ceil(width) + 2)[:, None]
    weight = shrink * function(shrink * (centre - first - offset))
    weight /= weight.sum(0, keepdims=True)
    used = np.flatnonzero(np.abs(weight).max(1) > 0)
    first, weight = first + used[0], weight[used[0] : used[-1] + 1]
    return _Taps(n_in, first, weight, *_repetition(first, weight))


def _repetition(first: np.ndarray, weight: np.ndarray) -> tuple[int, int]:
    """The least period of the pattern and its advance in the input; (0, 0) where it repeats too seldom to pay."""
    for period in range(1, min(MOST_PHASES, len(first) // 2) + 1):
        advance = first[period:] - first[:-period]
        if (
            advance[0] > 0
            and (advance == advance[0]).all()
            and np.allclose(weight[:, period:], weight[:, :-period], rtol=0, atol=1e-12)
        ):
            return period, int(advance[0])
    return 0, 0


def _filter(frames: Tensor, dim: int, taps: _Taps) -> Tensor:
    """One multiplication and one addition a tap, sample by sample, so that threads and batches change no bit."""
    n_taps, n_out = taps.weight.shape
    if not taps.period:
        weights = torch.from_numpy(taps.weight).to(frames.device, frames.dtype)
        total: Tensor | None = None
        for t in range(n_taps):
            part = _mirrored(frames, dim, taps.first + t, taps.n_in) * weights[t].reshape((-1, 1) if dim == -2 else -1)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total
    low = int(taps.first.min())
    padded = _mirrored(frames, dim, np.arange(low, int(taps.first.max()) + n_taps), taps.n_in)
    phases = []
    for phase in range(taps.period):
        count = len(range(phase, n_out, taps.period))
        begin, column = int(taps.first[phase]) - low, taps.weight[:, phase]
        total = None
        for t in range(n_taps):
            if column[t] == 0:
                continue
            window = [slice(None)] * frames.ndim
            window[dim] = slice(begin + t, begin + t + (count - 1) * taps.advance + 1, taps.advance)
            part = padded[tuple(window)] * float(column[t])
            total = part if total is None else total.add_(part)
        assert total is not None
        phases.append(total)
    return phases[0] if taps.period == 1 else _interleave(phases, dim, n_out)


def _interleave(phases: list[Tensor], dim: int, n_out: int) -> Tensor:
    """Output sample `o` is sample `o // period` of phase `o % period`."""
    shape = list(phases[0].shape)
    shape[dim] = n_out
    result = phases[0].new_empty(shape)
    for phase, part in enumerate(phases):
        window = [slice(None)] * result.ndim
        window[dim] = slice(phase, None, len(phases))
        result[tuple(window)] = part
    return result


def _mirrored(frames: Tensor, dim: int, index: np.ndarray, n_in: int) -> Tensor:
    """The samples at `index`, which may lie outside: the border is a mirror that repeats the edge."""
    index = index % (2 * n_in)
    index = np.where(index < n_in, index, 2 * n_in - 1 - index)
    return frames.index_select(dim, torch.from_numpy(index).to(frames.device))


def _cubic(a: float) -> Callable[[np.ndarray], np.ndarray]:
    """The piecewise cubic of Keys (1981) with slope `a` at the first zero."""

    def function(x: np.ndarray) -> np.ndarray:
        r = np.abs(x)
        near = (a + 2) * r**3 - (a + 3) * r**2 + 1
        far = a * (r**3 - 5 * r**2 + 8 * r - 4)
        return np.where(r <= 1, near, np.where(r <= 2, far, 0.0))

    return function


def _linear(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _box(x: np.ndarray) -> np.ndarray:
    x = np.round(x, 9)  # its edges are sharp: keep rounding errors of the grid off them
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def _lanczos(lobes: int) -> Callable[[np.ndarray], np.ndarray]:
    def function(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)

    return function


KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "cubic": (_cubic(-0.5), 4.0),  # MATLAB, Pillow
    "cubic75": (_cubic(-0.75), 4.0),  # torch, OpenCV
    "linear": (_linear, 2.0),
    "lanczos2": (_lanczos(2), 4.0),
    "lanczos3": (_lanczos(3), 6.0),
    "box": (_box, 1.0),
}
