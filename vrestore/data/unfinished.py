"""A folder that is written over a long time: it takes its name when it is whole, and an interrupted run goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vrestore.errors import DataError

JOURNAL = "journal.jsonl"


def new_folder(target: str | os.PathLike, what: str) -> Path:
    """A folder to make.

    Args:
        what: what it is for, for the error.

    Raises:
        DataError: it exists and is not empty, or the folder that it is to lie in does not exist.
    """
    target = Path(target)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} exists already; {what} go to a new folder")
    if not Path(os.path.abspath(target)).parent.is_dir():
        raise DataError(f"{target} cannot be made: the folder {target.parent} does not exist")
    return target


def begin(target: Path, header: Mapping[str, Any]) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder beside `target` to write to, and what an interrupted run with the same header has finished in it.

    Args:
        header: plain data; all that the entries depend on.

    Returns:
        The folder; and the entries of the journal by their `name`, where their `file` is there.

    Raises:
        DataError: it cannot be written to.
    """
    partial = target.with_name(f".{target.name}.partial")
    journal = partial / JOURNAL
    lines = []
    if journal.is_file():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:  # the last line of a killed run
                break
    if lines and lines[0] == json.loads(json.dumps(header)):
        return partial, {entry["name"]: entry for entry in lines[1:] if (partial / entry["file"]).exists()}
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{partial.parent} cannot be written to: {error.strerror}") from error
    note(partial, header)
    return partial, {}


def note(partial: Path, entry: Mapping[str, Any]) -> None:
    """Add a finished piece to the journal."""
    with open(partial / JOURNAL, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())


def finish(partial: Path, target: Path) -> None:
    """Give the folder its name."""
    (partial / JOURNAL).unlink()
    os.replace(partial, target)
