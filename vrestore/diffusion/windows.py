"""Long clips: one denoiser over overlapping windows of frames, blended where it matters, in the estimate of x0."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.windows import sliding_windows

Window = tuple[int, int]


class WindowDenoiser(Protocol):
    """A denoiser that can be cut to a run of frames, such as `vrestore.diffusion.Denoiser`."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor: ...

    def window(self, start: int, stop: int) -> WindowDenoiser: ...


class WindowedDenoiser:
    """A denoiser for clips that are too long for the network: at every noise level it runs window by window.

    The state and its noise stay whole; only the estimates of x0 are blended, so neighbouring windows pull each other
    together at every step and no seam is left at the end.

    Args:
        denoiser: for the whole clip; `Denoiser.window` gives it for a window.
        windows: (start, stop) of each, in order, overlapping or touching, from 0 to the clip's end; see
            `sliding_windows`.
        blend: ``cosine`` fades smoothly from one window to the next; ``linear`` does so in a straight line that starts
            at the window's first frame, as the official release does.

    Raises:
        ConfigError: windows that leave a gap or stand out of order, or an unknown blend.
    """

    def __init__(self, denoiser: WindowDenoiser, windows: Sequence[Window], blend: str = "cosine"):
        self.windows = [(int(start), int(stop)) for start, stop in windows]
        self.weights = blend_weights(self.windows, blend)
        self.frames = self.windows[-1][1]
        self.parts = [denoiser.window(start, stop) for start, stop in self.windows]

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """Estimate x0 (B, C, T, H, W) of a state of the same shape.

        Raises:
            ConfigError: a state with another number of frames than the windows cover.
        """
        if x.shape[2] != self.frames:
            raise ConfigError(f"the windows cover {self.frames} frames, the state has {x.shape[2]}")
        if len(self.parts) == 1:
            return self.parts[0](x, sigma)
        blended = torch.zeros_like(x)
        for (start, stop), weight, part in zip(self.windows, self.weights, self.parts, strict=True):
            x0 = part(x[:, :, start:stop], sigma)
            blended[:, :, start:stop] += x0 * weight.to(x.device, x.dtype).view(-1, 1, 1)
        return blended


def plan_key_frame_windows(
    frames: int, key_frame_stride: int, most_frames: int = 32, overlap_frames: int = 16
) -> list[Window]:
    """Windows that start and (but for the last) end at key frames, as the official release plans them.

    Args:
        frames: of the clip.
        key_frame_stride: a key frame every so many frames.
        most_frames: clips up to this length are one window; longer ones get windows of at most this many frames, but
            for a last one of up to 1.33 times as many.
        overlap_frames: upper bound of what neighbours share.

    Raises:
        ConfigError: no frame, no stride, or a window too short to hold two key frames and move on.
    """
    if key_frame_stride < 1 or most_frames < 2 or not 1 <= overlap_frames < most_frames:
        raise ConfigError(
            f"key-frame windows need a stride >= 1 and 1 <= overlap < most, got key_frame_stride={key_frame_stride}, "
            f"overlap_frames={overlap_frames}, most_frames={most_frames}"
        )
    if frames < 1:
        raise ConfigError(f"windows need at least 1 frame, got {frames}")
    if frames <= most_frames:
        return [(0, frames)]
    window = (most_frames - 1) // key_frame_stride * key_frame_stride + 1
    overlap = (overlap_frames - 1) // key_frame_stride * key_frame_stride + 1
    return sliding_windows(frames, window, overlap)


BLENDS = ("cosine", "linear")


def blend_weights(windows: Sequence[Window], blend: str = "cosine") -> list[Tensor]:
    """Weight of every frame of every window, float64; at each frame of the clip they sum to 1.

    Raises:
        ConfigError: as `WindowedDenoiser`.
    """
    if blend not in BLENDS:
        raise ConfigError(f"blend must be one of {', '.join(BLENDS)}, got {blend!r}")
    _check(windows)
    frames = windows[-1][1]
    weights = [torch.ones(stop - start, dtype=torch.float64) for start, stop in windows]
    for i in range(1, len(windows)):
        # Where more than two windows meet, ramps multiply and the sum below restores the unit.
        overlap = windows[i - 1][1] - windows[i][0]
        if overlap > 0:
            rise = _rise(overlap, blend)
            weights[i][:overlap] *= rise[: len(weights[i])]
            weights[i - 1][-overlap:] *= 1 - rise
    total = torch.zeros(frames, dtype=torch.float64)
    for (start, stop), weight in zip(windows, weights, strict=True):
        total[start:stop] += weight
    return [weight / total[start:stop] for (start, stop), weight in zip(windows, weights, strict=True)]


def _rise(frames: int, blend: str) -> Tensor:
    if blend == "linear":
        return torch.arange(frames, dtype=torch.float64) / frames
    middle = (torch.arange(frames, dtype=torch.float64) + 0.5) / frames
    return 0.5 - 0.5 * torch.cos(math.pi * middle)


def _check(windows: Sequence[Window]) -> None:
    if not windows or windows[0][0] != 0 or any(start >= stop for start, stop in windows):
        raise ConfigError(f"windows must start at frame 0 and hold frames each, got {list(windows)}")
    for (start, stop), (next_start, next_stop) in itertools.pairwise(windows):
        if not (start < next_start <= stop < next_stop):
            raise ConfigError(f"window {(next_start, next_stop)} neither overlaps nor follows {(start, stop)}")
