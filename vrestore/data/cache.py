"""Decoded clips kept as 8 bit, in memory or in memory-mapped files, so that no window is decoded twice."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vrestore.data.clips import Clip
from vrestore.data.progress import tracked
from vrestore.disk import move_into_place, why_unwritten
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.video import archive

GIB = 2**30
STALE_SECONDS = 3600  # after which an unfinished file is taken for one that nobody writes any more
BLOCK_FRAMES = 64  # decoded at a time while a file of the cache is written


class ClipCache:
    """Serves windows of clips; this one keeps nothing and decodes every time.

    Whatever the cache, the bytes of a window are the same.
    """

    def __init__(self, clips: Sequence[Clip], budget_bytes: int = 0):
        self.kept = _fitting(clips, budget_bytes)

    def window(self, clip: Clip, start: int, count: int, stride: int = 1) -> Tensor:
        """Frames `start, start + stride, …` of a clip: uint8 (count, 3, H, W); perhaps a view, not to be written to.

        Raises:
            MediaError: the frames cannot be decoded.
        """
        whole = self.whole(clip) if clip.path in self.kept else None
        if whole is None:
            return clip.read(start, count, stride)
        return whole[start : start + (count - 1) * stride + 1 : stride]

    def whole(self, clip: Clip) -> Tensor | None:
        return None


class RamCache(ClipCache):
    """Decodes clips at construction and holds them in memory; forked worker processes share that memory.

    Args:
        clips: what to hold, in the order of preference.
        budget_bytes: clips that no longer fit are decoded every time.
        progress: show a progress bar.
    """

    def __init__(self, clips: Sequence[Clip], budget_bytes: int, progress: bool = True):
        super().__init__(clips, budget_bytes)
        self._frames: dict[Path, Tensor] = {}
        todo = [clip for clip in clips if clip.path in self.kept]
        for clip in tracked(todo, "Decoding clips", progress):
            if clip.path not in self._frames:
                with suppress(MediaError):  # a damaged clip is read window by window, like one that does not fit
                    self._frames[clip.path] = clip.read().contiguous()

    def whole(self, clip: Clip) -> Tensor | None:
        return self._frames.get(clip.path)


class DiskCache(ClipCache):
    """Decodes a clip when it is first asked for and maps it from a file ever after, in this run and in later ones.

    A file is named after the clip's path, size and time of change, so that a changed clip is decoded anew; it is
    written under a temporary name and moved into place when whole. Worker processes share the mapped pages.

    Args:
        clips: what may be kept, in the order of preference.
        budget_bytes: clips that no longer fit are decoded every time.
        folder: where the files lie; None is `default_folder()`.
    """

    def __init__(self, clips: Sequence[Clip], budget_bytes: int, folder: str | os.PathLike | None = None):
        super().__init__(clips, budget_bytes)
        self.folder = Path(folder) if folder is not None else default_folder()
        _remove_leftovers(self.folder)
        self._mapped: dict[Path, Tensor | None] = {}

    def whole(self, clip: Clip) -> Tensor | None:
        if clip.path not in self._mapped:
            self._mapped[clip.path] = self._map_or_make(clip)
        return self._mapped[clip.path]

    def _map_or_make(self, clip: Clip) -> Tensor | None:
        try:
            file = self.folder / f"{clip.path.stem[:40]}-{_fingerprint(clip.path)}.npy"
        except OSError:  # it is gone or closed; reading it says so
            return None
        frames = _map(file, clip)
        if frames is None:
            with suppress(MediaError):  # a damaged clip is read window by window, like one that does not fit
                _write(file, clip)
                frames = _map(file, clip)
        return frames

    def __getstate__(self) -> dict:  # a mapping must not be copied into a spawned worker, which opens its own
        return {**self.__dict__, "_mapped": {}}


def build_cache(
    kind: str | None, clips: Sequence[Clip], budget_bytes: int, folder: str | os.PathLike | None, progress: bool
) -> ClipCache:
    """The cache that `kind` names: 'ram', 'disk' or None.

    Raises:
        ConfigError: any other kind.
    """
    if kind is None:
        return ClipCache(clips)
    if kind == "ram":
        return RamCache(clips, budget_bytes, progress)
    if kind == "disk":
        return DiskCache(clips, budget_bytes, folder)
    raise ConfigError(f"cache must be 'ram', 'disk' or None, got {kind!r}")


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/vrestore/clips``, or the same under ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vrestore" / "clips"


def _fitting(clips: Sequence[Clip], budget_bytes: int) -> frozenset[Path]:
    """The clips that are kept, decided from sizes alone and thus alike in every process."""
    kept, used = set(), 0
    for clip in clips:
        if clip.path not in kept and used + clip.nbytes <= budget_bytes:
            kept.add(clip.path)
            used += clip.nbytes
    return frozenset(kept)


def _fingerprint(path: Path) -> str:
    members = sorted(archive.files_of(path)) if archive.is_folder(path) else [path]
    digest = hashlib.sha256(str(path.resolve()).encode())
    for member in members:
        _, changed_ns, *_, n_bytes = archive.mark_of(member)
        digest.update(f"\0{member.name}\0{n_bytes}\0{changed_ns}".encode())
    return digest.hexdigest()[:24]


def _remove_leftovers(folder: Path) -> None:
    """Delete what killed processes began to write; what has changed lately may still be written."""
    for part in folder.glob(".*.npy.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()


def _map(file: Path, clip: Clip) -> Tensor | None:
    """The mapped frames, or None where the file is missing, cut short or of another shape."""
    try:
        frames = np.load(file, mmap_mode="c")  # copy on write: torch wants a writable array, the file stays as it is
    except (OSError, ValueError, EOFError):
        return None
    if frames.dtype != np.uint8 or frames.shape != (clip.n_frames, 3, clip.height, clip.width):
        return None
    return torch.from_numpy(frames)


def _write(file: Path, clip: Clip) -> None:
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    shape = (clip.n_frames, 3, clip.height, clip.width)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Written, not mapped: a full disk kills a process that writes to a mapping of a file.
        with open(partial, "wb") as target:
            np.lib.format.write_array_header_1_0(target, header)
            for start in range(0, clip.n_frames, BLOCK_FRAMES):
                count = min(BLOCK_FRAMES, clip.n_frames - start)
                target.write(clip.read(start, count).contiguous().numpy().data)
            target.flush()
            os.fsync(target.fileno())
        move_into_place(partial, file)
    except OSError as error:
        told = why_unwritten(error, file, clip.nbytes, "nothing was left there half-written")
        raise DataError(
            f"the cache of decoded clips cannot be written: {told}. The dataset's cache_dir names another folder, "
            f"cache_bytes a smaller size, and cache=None keeps nothing"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
