"""Files that are written whole or not at all, and what to say where there is no room for them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, one's share of it, or the largest file allowed


def is_full(error: BaseException) -> bool:
    """Whether something could not be written because there is no room for it."""
    return isinstance(error, OSError) and error.errno in NO_ROOM


def why_unwritten(error: BaseException, path: str | Path, need_bytes: int | None = None, left: str = "") -> str:
    """One sentence on a file that could not be written, with the room that is needed and that there is.

    Args:
        error: what writing it raised.
        path: the file.
        need_bytes: its size, where that is known.
        left: what was left of it, in words.
    """
    reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
    told = f"could not write {path}: {reason}" + (f"; {left}" if left else "")
    free = free_bytes(path)
    short = free is not None and need_bytes is not None and free < need_bytes
    if not (is_full(error) or short):
        return told
    need = "" if need_bytes is None else f"it takes {size_text(need_bytes)}, and "
    there = "" if free is None else f"{need}{size_text(free)} are free there; "
    return f"{told}; {there}make room, or let it be written elsewhere"


def free_bytes(path: str | Path) -> int | None:
    """Bytes that are free where a file lies or would lie; None where nobody knows."""
    for folder in Path(os.path.abspath(path)).parents:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def move_into_place(written: Path, target: Path) -> None:
    """Give a file that is wholly on the disk its name, and have the folder remember it through a loss of power."""
    os.replace(written, target)
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_under(temporary: Path, target: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name and move it into place once it is on the disk; nothing half-written is left.

    Raises:
        OSError: it could not be written; whatever was at `target` is untouched.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        move_into_place(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_whole(target: Path, content: bytes) -> None:
    """Write a file at once, by `write_under` and a temporary name beside it that no other process uses.

    Raises:
        OSError: it could not be written; whatever was at `target` is untouched.
    """
    write_under(target.with_name(f".{target.name}.{uuid.uuid4().hex}.part"), target, lambda file: file.write(content))


def size_text(size: int) -> str:
    """1536 -> '1.5 KiB'."""
    unit = next((u for u in ("GiB", "MiB", "KiB") if size >= UNITS[u]), "bytes")
    return f"{size} bytes" if unit == "bytes" else f"{size / UNITS[unit]:.1f} {unit}"
