"""Tiny clips for the tests of this folder."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image


def moving_texture(n_frames: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 (T, H, W, 3): a smooth texture that slides by whole pixels, so that frames and places tell apart."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(height // 4 + 3, (width + 2 * n_frames) // 4 + 3, 3)).astype(np.float64)
    canvas = np.kron(coarse, np.ones((4, 4, 1)))
    frames = [canvas[:height, 2 * t : 2 * t + width] for t in range(n_frames)]
    return np.stack(frames).astype(np.uint8)


def write_folder(folder: Path, frames: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i:08d}.png", compress_level=1)
    return folder


def write_video(path: Path, frames: np.ndarray, fps: int = 25) -> Path:
    """Lossless: FFV1 in Matroska."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "bgr0"
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = i, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
