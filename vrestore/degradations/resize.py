"""MATLAB-compatible resizing: the `imresize` that defines BIx4, and the degradation made of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip, plain_number, quantise_8bit
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class BicubicDown(Degradation):
    """Antialiased bicubic downscaling: `BIx4` of the video super-resolution papers at its defaults.

    The result has `ceil(side / scale)` pixels a side, as MATLAB makes it; a side that `scale` does not divide therefore
    has no exact partner at `scale` times the size (benchmarks and training crop to a multiple first).

    Args:
        scale: factor by which height and width shrink; any number >= 1, whole or not.
        round_to_8bit: round to the 256 levels of 8 bit, as the published test sets are; otherwise only clamp to [0, 1].

    Raises:
        ConfigError: `scale` is not a finite number >= 1.
    """

    def __init__(self, scale: float = 4, round_to_8bit: bool = True):
        check_scale("BicubicDown", scale)
        self.scale = plain_number(scale)
        self.round_to_8bit = bool(round_to_8bit)

    @property
    def protocol(self) -> str:
        return f"BIx{self.scale:g}"

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        small = imresize(frames_TCHW, scale=1 / self.scale)
        small = quantise_8bit(small) if self.round_to_8bit else small.clamp(0, 1)
        return small, {"name": "BicubicDown", "scale": self.scale, "round_to_8bit": self.round_to_8bit}


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
        kernel: `cubic` (a = -0.5), `linear`, `lanczos2`, `lanczos3` or `box`.

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
        result = _filter(result, axis - 2, *taps)
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


@lru_cache(maxsize=64)
def _taps(n_in: int, n_out: int, factor: float, antialias: bool, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    """Source index and weight of every tap of every output sample, each (taps, n_out); borders already mirrored."""
    function, width = KERNELS[kernel]
    shrink = factor if antialias and factor < 1 else 1.0
    width = width / shrink
    centre = (np.arange(n_out) + 0.5) / factor - 0.5  # where the output sample lies among the input's
    first = np.floor(centre - width / 2)
    index = first[None] + np.arange(math.ceil(width) + 2)[:, None]
    weight = shrink * function(shrink * (centre[None] - index))
    weight /= weight.sum(0, keepdims=True)
    index = index.astype(np.int64) % (2 * n_in)  # period of an edge-repeating mirror
    index = np.where(index < n_in, index, 2 * n_in - 1 - index)
    used = np.abs(weight).max(1) > 0
    return index[used], weight[used]


def _filter(frames: Tensor, dim: int, index: np.ndarray, weight: np.ndarray) -> Tensor:
    """Sum of the shifted copies: one gather and one multiply-add a tap, in memory proportional to the output."""
    shape = (-1, 1) if dim == -2 else (-1,)
    indices = torch.from_numpy(index).to(frames.device)
    weights = torch.from_numpy(weight).to(frames.device, frames.dtype)
    total: Tensor | None = None
    for source, w in zip(indices, weights, strict=True):
        tap = frames.index_select(dim, source)
        w = w.reshape(shape)
        total = tap * w if total is None else torch.addcmul(total, tap, w)
    assert total is not None
    return total


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic with a = -0.5 (Keys 1981), as in MATLAB and Pillow; OpenCV and torch use -0.75."""
    a = np.abs(x)
    near = 1.5 * a**3 - 2.5 * a**2 + 1
    far = -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2
    return np.where(a <= 1, near, np.where(a <= 2, far, 0.0))


def _linear(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _box(x: np.ndarray) -> np.ndarray:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def _lanczos(lobes: int) -> Callable[[np.ndarray], np.ndarray]:
    def function(x: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)

    return function


KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "cubic": (_cubic, 4.0),
    "linear": (_linear, 2.0),
    "lanczos2": (_lanczos(2), 4.0),
    "lanczos3": (_lanczos(3), 6.0),
    "box": (_box, 1.0),
}


def check_scale(name: str, scale: object, whole: bool = False) -> None:
    """Refuse a downscaling factor that is not a finite number >= 1.

    Raises:
        ConfigError: names the degradation, the value and what is allowed.
    """
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool) and math.isfinite(scale) and scale >= 1
    if not number or (whole and int(scale) != scale):  # type: ignore[call-overload]
        kind = "a whole number" if whole else "a finite number"
        raise ConfigError(f"{name} (DEGRADATIONS): scale must be {kind} >= 1, got {scale!r}")
