"""Files within tar archives, read where they lie: `shard.tar/reef.mp4` is a path like any other.

An archive is never unpacked. What a path names is looked up in the table of its archive's members, so that names such
as `../../etc/passwd` are data: they lead nowhere else.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from vrestore.errors import MediaError

SUFFIX = ".tar"


@dataclass(frozen=True)
class TarIndex:
    """Where the files of an archive lie.

    Attributes:
        members: (first byte, number of bytes) by name, in the archive's order. Of two with one name the later counts.
        cut_off: names of members whose bytes are not all there.
        damage: why the archive could not be read to its end, or an empty text.
    """

    members: Mapping[str, tuple[int, int]]
    cut_off: tuple[str, ...] = ()
    damage: str = ""

    @cached_property
    def samples(self) -> dict[str, list[str]]:
        """Names of the members that share a key (see `key_of`), by that key."""
        found: dict[str, list[str]] = {}
        for name in self.members:
            found.setdefault(key_of(name), []).append(name)
        return found


def tar_index(archive: Path) -> TarIndex:
    """The table of an archive: remembered, or made by going from header to header.

    Raises:
        MediaError: it is no tar archive, or a compressed one, which allows no access at random.
    """
    mark = _mark(archive)
    known = _known.get(archive)
    if known is None or known[0] != mark:
        known = _known[archive] = (mark, _scanned(archive, mark[-1]))
    return known[1]


def remember(archive: Path, members: Mapping[str, tuple[int, int]]) -> None:
    """Take this process' word for where the members of an archive lie, so that it need not be gone through."""
    _known[archive] = (_mark(archive), TarIndex(members))


def split(path: Path) -> tuple[Path, str] | None:
    """(archive, name within it) of a path that leads into one; None of any other."""
    if f"{SUFFIX}{os.sep}" not in os.fspath(path):
        return None
    for parent in path.parents:
        if parent.suffix == SUFFIX and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def key_of(name: str) -> str:
    """What members of one sample share, by WebDataset's convention: the name up to the first dot of its last part."""
    folder, _, base = name.rpartition("/")
    key = base.partition(".")[0]
    return f"{folder}/{key}" if folder else key


def is_folder(path: Path) -> bool:
    """Whether a path is a folder, or the key of a sample within an archive, whose files are then `files_of`."""
    inside = split(path)
    if inside is None:
        return path.is_dir()
    index = tar_index(inside[0])
    return inside[1] not in index.members and inside[1] in index.samples


def files_of(folder: Path) -> list[Path]:
    """The files of a folder, or of a sample within an archive, in no order."""
    inside = split(folder)
    if inside is None:
        return [path for path in folder.iterdir() if path.is_file()]
    return [inside[0] / name for name in tar_index(inside[0]).samples.get(inside[1], ())]


def is_file(path: Path) -> bool:
    """Whether a path is a file, within an archive or not."""
    inside = split(path)
    return path.is_file() if inside is None else inside[1] in tar_index(inside[0]).members


def size_of(path: Path) -> int:
    """Bytes of a file, within an archive or not."""
    return mark_of(path)[-1]


def mark_of(path: Path) -> tuple[int, ...]:
    """Numbers that change with the file or folder: which file it is, time of change in nanoseconds, …, bytes.

    Raises:
        OSError: it is missing.
    """
    inside = split(path)
    if inside is None:
        return _mark(path)
    number, changed, _ = _mark(inside[0])
    index = tar_index(inside[0])
    names = [inside[1]] if inside[1] in index.members else index.samples.get(inside[1], ())
    ranges = [index.members[name] for name in names]
    if not ranges:
        raise FileNotFoundError(f"'{inside[0]}' holds no '{inside[1]}'")
    return number, changed, min(first for first, _ in ranges), sum(size for _, size in ranges)


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading, within an archive or not.

    Raises:
        OSError: it is missing or may not be read.
    """
    inside = split(path)
    if inside is None:
        return open(path, "rb")
    where = tar_index(inside[0]).members.get(inside[1])
    if where is None:
        raise FileNotFoundError(f"'{inside[0]}' holds no '{inside[1]}'")
    return _Range(inside[0], *where)  # type: ignore[return-value]


def plain_name(name: str) -> str:
    """A member's name without what leads out of the archive: empty parts, `.` and `..`."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


class _Range(io.RawIOBase):
    """Some bytes of a file as a file of their own."""

    def __init__(self, path: Path, first: int, size: int):
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._first, self._size, self._position = first, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        wanted = min(len(buffer), max(self._size - self._position, 0))
        if not wanted:
            return 0
        self._file.seek(self._first + self._position)
        count = self._file.readinto(memoryview(buffer)[:wanted])
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if begin + offset < 0:
            raise ValueError("a position before the beginning")
        self._position = begin + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


_known: dict[Path, tuple[tuple[int, ...], TarIndex]] = {}


def _mark(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _scanned(archive: Path, n_bytes: int) -> TarIndex:
    members: dict[str, tuple[int, int]] = {}
    damage = ""
    try:
        with tarfile.open(archive, "r:") as tar:
            try:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # which would hold every header of a large archive
                    name = plain_name(member.name)
                    if not member.isreg() or member.issparse() or not name:
                        continue
                    members.pop(name, None)  # so that the later one takes its own place
                    members[name] = (member.offset_data, member.size)
            except (tarfile.TarError, OSError, ValueError, EOFError) as error:
                damage = f"it cannot be read to its end: {error}"
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise MediaError(
            f"'{archive}' is no plain tar archive ({error}); a compressed one must be decompressed first"
        ) from error
    cut_off = [name for name, (first, size) in members.items() if first + size > n_bytes]
    for name in cut_off:
        del members[name]
    if cut_off and not damage:
        damage = "it is cut off"
    return TarIndex(members, tuple(cut_off), damage)
