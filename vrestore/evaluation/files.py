"""Results on disk: names that any file system takes, and files that are whole or absent."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from vrestore.errors import EvaluationError


def safe_name(name: str) -> str:
    """A file name for any name; names that had to be changed keep apart by a few digits of their hash."""
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._")[:80]
    return safe if safe == name else f"{safe or 'clip'}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then move it into place.

    Raises:
        EvaluationError: it cannot be written (no room, no permission); nothing half-written is left.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """UTF-8 text through `write_whole`."""
    return write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_png(path: Path, image_HWC: np.ndarray, compress_level: int = 6) -> Path:
    """An 8-bit RGB image through `write_whole`; `compress_level` from 0 (quick) to 9 (small)."""
    image = Image.fromarray(image_HWC)
    return write_whole(path, lambda temporary: image.save(temporary, format="PNG", compress_level=compress_level))


def write_frames(folder: Path, frames_TCHW: Tensor) -> Path:
    """A folder of PNG frames (00000000.png, …), 8 bit, rounded; it replaces what was there once it is whole."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        for index, frame in enumerate(frames_TCHW):
            Image.fromarray(to_uint8(frame)).save(temporary / f"{index:08d}.png", format="PNG")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(temporary, folder)
    except OSError as error:
        raise EvaluationError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def to_uint8(frame_CHW: Tensor) -> np.ndarray:
    """RGB (3, H, W) in [0, 1] to (H, W, 3) uint8, rounded."""
    levels = (frame_CHW.detach().cpu().float().clamp(0, 1) * 255).round()
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy().astype(np.uint8))


def holds_frames(folder: Path, count: int) -> bool:
    """Whether `folder` holds the frames that `write_frames` would write for a clip of `count`."""
    return all((folder / f"{index:08d}.png").is_file() for index in _ends(range(count)))


def _ends(indices: Sequence[int]) -> Sequence[int]:
    return [indices[0], indices[-1]] if len(indices) else []
