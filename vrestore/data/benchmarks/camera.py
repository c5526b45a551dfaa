"""A simulated camera that moves over a still photograph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.resize import imresize
from vrestore.errors import ConfigError

SAMPLES_PER_PHOTO_PX = 1.25  # the photograph is read at least this densely before it is averaged down


@dataclass(frozen=True)
class CameraPath:
    """Where the camera looks in each frame; arrays of (T,).

    Attributes:
        x, y: centre of the view, in pixels of the photograph.
        zoom: pixels of the photograph a pixel of the frame.
        angle: rotation of the view, in radians.
    """

    x: np.ndarray
    y: np.ndarray
    zoom: np.ndarray
    angle: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


def plan_path(
    photo_size: tuple[int, int], frame_size: tuple[int, int], n_frames: int, rng: np.random.Generator
) -> CameraPath:
    """A smooth pan with slow zoom, slight rotation and the tremor of a hand, that never leaves the photograph.

    Args:
        photo_size: (height, width) of the photograph in pixels.
        frame_size: (height, width) of a frame in pixels.
        n_frames: length of the path.
        rng: draws direction, speed and phases.

    Raises:
        ConfigError: the photograph is too small for frames of this size.
    """
    height, width = photo_size
    h, w = frame_size
    angle = math.radians(3.0) * _wave(n_frames, rng)
    tilt = float(np.abs(angle).max())
    # Half extents of the rotated view, in pixels of the frame; a pixel of margin on every side.
    half_w = 0.5 * (w * math.cos(tilt) + h * math.sin(tilt)) + 1
    half_h = 0.5 * (h * math.cos(tilt) + w * math.sin(tilt)) + 1
    largest = min(0.5 * width / half_w, 0.5 * height / half_h)
    if largest < 1.15:
        raise ConfigError(
            f"frames of {w}x{h} are too large for a photograph of {width}x{height} pixels (width x height): "
            "there is no room to move without enlarging it; take a smaller size"
        )
    breath = min(0.08, 0.25 * (largest - 1))
    zoom = max(1 / (1 - breath), 0.78 * largest) * (1 + breath * _wave(n_frames, rng))  # never below 1: no enlarging
    room_x = 0.5 * width - half_w * zoom
    room_y = 0.5 * height - half_h * zoom
    speed = rng.uniform(0.8, 1.6)  # pixels of the frame between frames
    heading = rng.uniform(0, 2 * math.pi)
    time = np.arange(n_frames) - (n_frames - 1) / 2
    tremor = 0.35
    x = time * speed * math.cos(heading) * zoom + tremor * zoom * _wave(n_frames, rng, period=9)
    y = time * speed * math.sin(heading) * zoom + tremor * zoom * _wave(n_frames, rng, period=9)
    x = room_x * np.tanh(x / np.maximum(room_x, 1e-6))  # slows down towards the border instead of hitting it
    y = room_y * np.tanh(y / np.maximum(room_y, 1e-6))
    return CameraPath(0.5 * width + x, 0.5 * height + y, zoom, angle)


def film(photo_CHW: Tensor, path: CameraPath, frame_size: tuple[int, int]) -> Tensor:
    """Take the frames: the photograph is sampled more densely than its own pixels, then shrunk without aliasing.

    Args:
        photo_CHW: photograph, float, in [0, 1].
        path: the camera's.
        frame_size: (height, width) of a frame in pixels.

    Returns:
        (T, C, height, width), 8-bit levels as uint8.
    """
    h, w = frame_size
    height, width = photo_CHW.shape[-2:]
    photo = photo_CHW.double()[None]
    frames = []
    for x, y, zoom, angle in zip(path.x, path.y, path.zoom, path.angle, strict=True):
        dense = max(1, math.ceil(zoom * SAMPLES_PER_PHOTO_PX))
        step = zoom / dense
        v = (torch.arange(h * dense, dtype=torch.float64) - (h * dense - 1) / 2) * step
        u = (torch.arange(w * dense, dtype=torch.float64) - (w * dense - 1) / 2) * step
        v, u = torch.meshgrid(v, u, indexing="ij")
        sample_x = x + u * math.cos(angle) - v * math.sin(angle)
        sample_y = y + u * math.sin(angle) + v * math.cos(angle)
        grid = torch.stack((2 * sample_x / width - 1, 2 * sample_y / height - 1), dim=-1)[None]
        seen = F.grid_sample(photo, grid, mode="bicubic", padding_mode="border", align_corners=False)
        frames.append(imresize(seen, size=frame_size))
    return torch.cat(frames).clamp(0, 1).mul(255).round().to(torch.uint8)


def _wave(n_frames: int, rng: np.random.Generator, period: float = 48) -> np.ndarray:
    """A smooth signal in [-1, 1]: two sines of unlike periods and drawn phases."""
    time = np.arange(n_frames) * 2 * math.pi
    first, second = rng.uniform(0, 2 * math.pi, size=2)
    return 0.6 * np.sin(time / period + first) + 0.4 * np.sin(time / (0.38 * period) + second)
