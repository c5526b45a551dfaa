"""Writing the files of a run, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vrestore.disk import why_unwritten, write_under
from vrestore.errors import TrainingError

TEMPORARY = ".{name}.{pid}.tmp"


class UnwrittenError(TrainingError):
    """A file of a run could not be written; what was there before is untouched."""


def write_whole(path: str | Path, write: Callable[[BinaryIO], object], need_bytes: int | None = None) -> Path:
    """Write a file under a temporary name beside `path` and move it into place once it is on the disk.

    Args:
        path: the file to make or replace; its folder is made when missing.
        write: called with the open binary file.
        need_bytes: about how large it will be, for the error.

    Raises:
        UnwrittenError: the file could not be written (full disk, no permission); whatever was at `path` is untouched.
    """
    path = Path(path)
    try:
        write_under(path.with_name(TEMPORARY.format(name=path.name, pid=os.getpid())), path, write)
    # torch.save reports a failed write as a RuntimeError; a killed data worker is none of ours.
    except (OSError, RuntimeError) as error:
        if "DataLoader worker" in str(error):
            raise
        left = "nothing was left there half-written"
        raise UnwrittenError(why_unwritten(error, path, need_bytes, left)) from error
    return path


def write_text(path: str | Path, text: str) -> Path:
    """`write_whole` for UTF-8 text."""
    content = text.encode("utf-8")
    return write_whole(path, lambda file: file.write(content), len(content))


def append_line(path: str | Path, line: str) -> None:
    """Add a line to a text file; one that does not fit on the disk leaves the file as it was.

    Raises:
        UnwrittenError: it could not be written.
    """
    before = None
    try:
        with open(path, "ab") as file:
            before = file.tell()
            file.write(line.encode("utf-8") + b"\n")
    except OSError as error:
        if before is not None:
            with contextlib.suppress(OSError):
                os.truncate(path, before)
        raise UnwrittenError(why_unwritten(error, path)) from error


def remove_leftovers(folder: str | Path, name_pattern: str = "*") -> None:
    """Delete temporary files that a killed process left behind for names like `name_pattern` (a glob)."""
    for leftover in Path(folder).glob(TEMPORARY.format(name=name_pattern, pid="*")):
        with contextlib.suppress(OSError):
            leftover.unlink()
