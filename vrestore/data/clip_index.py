"""ClipIndex: what is known of the clips of a data set, found out once and kept in a file."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

from vrestore.data.clips import Clip, describe
from vrestore.data.scenes import scene_cuts
from vrestore.disk import why_unwritten, write_whole
from vrestore.errors import DataError, MediaError
from vrestore.video import archive

FORMAT = "vrestore-index-1"


class ClipIndex:
    """Frames, size, rate and scene cuts of every clip, by its path relative to the index file.

    A clip whose size and time of change are as they were is not opened again; a new or changed one is decoded once, to
    count its frames and find its cuts. Clips that cannot be read are remembered too.

    Args:
        file: JSON file; made by `save` where it is missing.

    Raises:
        DataError: the file is no index.
    """

    def __init__(self, file: str | os.PathLike):
        self.file = Path(file)
        self._entries: dict[str, dict[str, Any]] = {}
        self._changed = False
        if self.file.exists():
            try:
                content = json.loads(self.file.read_text(encoding="utf-8"))
                if content["format"] != FORMAT:
                    raise ValueError(f"its format is {content['format']!r}")
                self._entries = dict(content["clips"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{self.file} is no index of clips ({error}); name a new file, or delete this one to make it anew"
                ) from error

    def __len__(self) -> int:
        return len(self._entries)

    def clip(self, path: Path, name: str) -> Clip:
        """What is known of a clip, found out now where it is new or has changed.

        Raises:
            MediaError: it cannot be read, now or when it was indexed.
        """
        key = os.path.relpath(path.resolve(), self.file.resolve().parent)
        try:
            mark = _fingerprint(path)
        except OSError as error:
            raise MediaError(f"'{path}' cannot be read: {error.strerror}") from error
        entry = self._entries.get(key)
        if entry is None or entry.get("mark") != mark:
            entry = {"mark": mark, **_found_out(path, name)}
            self._entries[key], self._changed = entry, True
        if "error" in entry:
            raise MediaError(entry["error"])
        fps = None if entry["fps"] is None else Fraction(entry["fps"])
        return Clip(path, name, entry["frames"], entry["height"], entry["width"], fps, tuple(entry["cuts"]))

    def save(self) -> None:
        """Write the index, whole or not at all, where anything has changed.

        Raises:
            DataError: it cannot be written.
        """
        if not self._changed:
            return
        text = json.dumps({"format": FORMAT, "clips": self._entries}, indent=0, sort_keys=True) + "\n"
        content = text.encode("utf-8")
        try:
            write_whole(self.file, content)
        except OSError as error:
            told = why_unwritten(error, self.file, len(content))
            raise DataError(f"the index of clips cannot be written: {told}") from error
        self._changed = False


def _found_out(path: Path, name: str) -> dict[str, Any]:
    try:
        clip = describe(path, name)
        cuts = scene_cuts(path)
    except MediaError as error:
        return {"error": str(error)}
    fps = None if clip.fps is None else str(clip.fps)
    return {"frames": clip.n_frames, "height": clip.height, "width": clip.width, "fps": fps, "cuts": cuts}


def _fingerprint(path: Path) -> list[int]:
    """Number of files, bytes, and the latest time of change in nanoseconds."""
    members = archive.files_of(path) if archive.is_folder(path) else [path]
    marks = [archive.mark_of(member) for member in members]
    return [len(marks), sum(mark[-1] for mark in marks), max((mark[1] for mark in marks), default=0)]
