"""Filtering frames with small kernels, one for all frames or one a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import BLOCK_FRAMES, is_plain

SEPARATE_FROM = 9  # two passes of this many taps and more are quicker than one pass of their square
OPENCV_UP_TO = 9  # OpenCV is quicker than PyTorch for this many rows and columns of taps, and as exact
TRANSFORM_FROM = 15  # a Fourier transform is quicker than this many rows and columns of taps
NEGLIGIBLE = 1e-6  # weight at the rim of a kernel that no sample of 16 bits shows


def filter_frames(frames_TCHW: Tensor, kernels: np.ndarray, separable: bool = False) -> Tensor:
    """Correlate each frame with its kernel; borders are mirrored without repeating the edge.

    Args:
        frames_TCHW: any range.
        kernels: (T, k, k) or (1, k, k), k odd.
        separable: whether every kernel is the outer product of its column and row sums (a circular Gaussian of sum 1
            is); such ones are applied in two passes.

    Returns:
        (T, C, H, W), not clamped.
    """
    kernels = without_rim(kernels)
    side = kernels.shape[-1]
    kernels = np.broadcast_to(kernels, (len(frames_TCHW), side, side))
    if separable and side >= SEPARATE_FROM:
        one_pass = _opencv_two_passes if is_plain(frames_TCHW) else _two_passes
    elif side <= OPENCV_UP_TO and is_plain(frames_TCHW):
        one_pass = _opencv_direct
    else:
        one_pass = _fourier if side >= TRANSFORM_FROM else _direct
    blocks = []
    for start in range(0, len(frames_TCHW), BLOCK_FRAMES):  # bounds the memory of the bordered copies
        chosen = slice(start, start + BLOCK_FRAMES)
        blocks.append(one_pass(frames_TCHW[chosen], kernels[chosen]))
    return torch.cat(blocks) if len(blocks) > 1 else blocks[0]


def without_rim(kernels: np.ndarray) -> np.ndarray:
    """The kernels (T, k, k) without those outer rings that weigh less than NEGLIGIBLE in all of them."""
    radius = kernels.shape[-1] // 2
    weights = np.abs(kernels)
    whole, kept = weights.sum((1, 2)), radius
    while kept > 0:
        inner = slice(radius - kept + 1, radius + kept)
        if (whole - weights[:, inner, inner].sum((1, 2))).max() > NEGLIGIBLE:
            break
        kept -= 1
    return kernels[:, radius - kept : radius + kept + 1, radius - kept : radius + kept + 1]


def mirrored(frames: Tensor, margin: int) -> Tensor:
    """The frames (N, C, H, W) with a mirrored border of `margin` pixels, also where a side is shorter than it."""
    height, width = frames.shape[-2:]
    if margin < min(height, width):
        return F.pad(frames, (margin,) * 4, mode="reflect")
    for dim, side in ((-2, height), (-1, width)):
        period = max(2 * (side - 1), 1)
        index = np.abs(np.arange(-margin, side + margin)) % period
        index = np.minimum(index, period - index) if side > 1 else np.zeros_like(index)
        frames = frames.index_select(dim, torch.from_numpy(index).to(frames.device))
    return frames


def _direct(frames: Tensor, kernels: np.ndarray) -> Tensor:
    """Every sum of products as it stands, all frames and channels at once."""
    return _grouped(mirrored(frames, kernels.shape[-1] // 2), kernels)


def _two_passes(frames: Tensor, kernels: np.ndarray) -> Tensor:
    bordered = mirrored(frames, kernels.shape[-1] // 2)
    return _grouped(_grouped(bordered, kernels.sum(2)[:, :, None]), kernels.sum(1)[:, None, :])


def _grouped(frames: Tensor, kernels: np.ndarray) -> Tensor:
    n, channels = frames.shape[:2]
    taps = torch.from_numpy(np.array(kernels)).to(frames.device, frames.dtype)
    planes = frames.flatten(0, 1)[None]
    planes = F.conv2d(planes, taps.repeat_interleave(channels, 0)[:, None], groups=n * channels)
    return planes.view(n, channels, *planes.shape[-2:])


def _opencv_two_passes(frames: Tensor, kernels: np.ndarray) -> Tensor:
    """Two passes by OpenCV, the quickest on a CPU."""
    import cv2

    columns, rows = (kernels.sum(axis).astype(np.float32) for axis in (2, 1))
    return _by_plane(
        frames, zip(rows, columns, strict=True), lambda plane, taps, to: cv2.sepFilter2D(plane, -1, *taps, **to)
    )


def _opencv_direct(frames: Tensor, kernels: np.ndarray) -> Tensor:
    """As `_direct`, by OpenCV."""
    import cv2

    return _by_plane(frames, kernels.astype(np.float32), lambda plane, taps, to: cv2.filter2D(plane, -1, taps, **to))


def _by_plane(frames: Tensor, taps: Iterable[Any], one: Callable[[np.ndarray, Any, dict], object]) -> Tensor:
    import cv2

    out = np.empty(tuple(frames.shape), dtype=np.float32)
    for target, planes, own in zip(out, frames.contiguous().numpy(), taps, strict=True):
        for to, plane in zip(target, planes, strict=True):
            one(plane, own, {"dst": to, "borderType": cv2.BORDER_REFLECT_101})
    return torch.from_numpy(out)


def _fourier(frames: Tensor, kernels: np.ndarray) -> Tensor:
    height, width = frames.shape[-2:]
    bordered = mirrored(frames, kernels.shape[-1] // 2)
    size = [_transformed_length(side) for side in bordered.shape[-2:]]
    taps = torch.from_numpy(np.array(kernels)).to(frames.device, frames.dtype)
    spectrum = torch.fft.rfft2(bordered, s=size).mul_(torch.fft.rfft2(taps, s=size).conj()[:, None])
    return torch.fft.irfft2(spectrum, s=size)[..., :height, :width]


@lru_cache(maxsize=4096)
def _transformed_length(least: int) -> int:
    """The next length whose prime factors are 2, 3, 5 and 7, which transforms quickly."""
    length = least
    while True:
        rest = length
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
