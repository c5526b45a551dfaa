"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vrestore.errors import TrainingError

TEMPORARY = ".{name}.{pid}.tmp"


def write_whole(path: str | Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a file under a temporary name beside `path` and move it into place once it is on the disk.

    Args:
        path: the file to make or replace; its folder is made when missing.
        write: called with the open binary file.

    Raises:
        TrainingError: the file could not be written (full disk, no permission); whatever was at `path` is untouched.
    """
    path = Path(path)
    temporary = path.with_name(TEMPORARY.format(name=path.name, pid=os.getpid()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        # torch.save reports a failed write as a RuntimeError; a killed data worker is none of ours.
        if isinstance(error, OSError | RuntimeError) and "DataLoader worker" not in str(error):
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise TrainingError(f"could not write {path}: {reason}; nothing was left there half-written") from error
        raise
    return path


def write_text(path: str | Path, text: str) -> Path:
    """`write_whole` for UTF-8 text."""
    return write_whole(path, lambda file: file.write(text.encode("utf-8")))


def remove_leftovers(folder: str | Path, name_pattern: str) -> None:
    """Delete temporary files that a killed process left behind for names like `name_pattern` (a glob)."""
    for leftover in Path(folder).glob(TEMPORARY.format(name=name_pattern, pid="*")):
        with contextlib.suppress(OSError):
            leftover.unlink()
