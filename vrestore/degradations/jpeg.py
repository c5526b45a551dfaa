"""JPEGCompression: every frame through JPEG at a quality that walks from frame to frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip, to_8bit
from vrestore.degradations.draws import Range, check_number, check_range, told, walk
from vrestore.degradations.jpeg_simulated import jpeg_simulated
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS

CODERS = ("opencv", "simulated")


@DEGRADATIONS.register_module()
class JPEGCompression(Degradation):
    """JPEG at a drawn quality; defaults are RealBasicVSR's.

    Args:
        quality: least and most quality, 1 to 100.
        step: its largest change between two frames (see `draws.walk`).
        coder: `opencv` writes and reads real JPEG files in memory, on the CPU, at whole qualities, as RealBasicVSR
            does; `simulated` computes the same on the frames' device (see `jpeg_simulated`), as Real-ESRGAN does.

    Raises:
        ConfigError: an impossible range or an unknown coder.
    """

    def __init__(self, quality: Range = (30, 95), step: float = 3, coder: str = "opencv"):
        self.quality = check_range("JPEGCompression", "quality", quality, 1, 100)
        self.step = check_number("JPEGCompression", "step", step)
        if coder not in CODERS:
            raise ConfigError(f"JPEGCompression (DEGRADATIONS): coder must be {' or '.join(CODERS)}, got {coder!r}")
        self.coder = coder

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        quality = walk(rng, self.quality, self.step, len(frames_TCHW))
        if self.coder == "opencv":
            quality = np.rint(quality)
            compressed = jpeg_opencv(frames_TCHW, quality)
        else:
            compressed = jpeg_simulated(frames_TCHW, torch.from_numpy(quality))
        record = {"name": "JPEGCompression", "scale": 1, "coder": self.coder, "quality": told(quality)}
        return compressed, record


def jpeg_opencv(frames_TCHW: Tensor, quality: np.ndarray) -> Tensor:
    """Frames (T, 3, H, W) in [0, 1], rounded to 8 bit, after JPEG files of the given qualities (T,), 4:2:0."""
    import cv2

    levels = to_8bit(frames_TCHW).numpy()
    read = np.empty(levels.shape, dtype=np.uint8)
    for target, frame, q in zip(read, levels, quality, strict=True):
        _, data = cv2.imencode(".jpg", cv2.merge(frame[::-1]), [cv2.IMWRITE_JPEG_QUALITY, int(q)])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert image is not None
        cv2.split(image, target[::-1])  # OpenCV's order is blue, green, red
    return torch.from_numpy(read).to(frames_TCHW.device, frames_TCHW.dtype).div_(255)
