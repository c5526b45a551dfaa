"""Manifests: JSON files that tell what a folder holds, read whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrestore.errors import DataError

SHOWN = 5  # entries that an error names


@dataclass(frozen=True)
class Layout:
    """What a manifest must hold.

    Attributes:
        file_name: of the manifest within its folder.
        format: the text of its entry `format`.
        made_by: the command that makes such folders.
        keys: its entries.
        rows: entries of the mappings in its lists: ``{"clips": ("name", …), "shards.clips": (…)}``, where a dot leads
            into the rows of a list.
        without: what a damaged manifest means for its folder, for the error.
    """

    file_name: str
    format: str
    made_by: str
    keys: Sequence[str]
    rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    without: str = ""

    def lacking(self, manifest: Mapping[str, Any]) -> list[str]:
        """The entries that are not there, by where they should be."""
        missing = [key for key in self.keys if key not in manifest]
        for place, keys in self.rows.items():
            for where, row in _rows(manifest, place.split(".")):
                missing += [f"{where}.{key}" for key in keys if key not in row]
        return missing


def read_manifest(path: str | os.PathLike, layout: Layout) -> dict[str, Any]:
    """The manifest of a folder, or the file itself.

    Raises:
        DataError: there is none, or it is no whole manifest of that layout.
    """
    file = Path(path) / layout.file_name if Path(path).is_dir() else Path(path)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror}); a folder made by '{layout.made_by}' holds its "
            f"{layout.file_name}"
        ) from error
    except ValueError as error:
        raise DataError(f"{file} is damaged: {error}{layout.without and '; ' + layout.without}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != layout.format:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise DataError(f"{file} is no manifest of format '{layout.format}' (found: {found!r})")
    if missing := layout.lacking(manifest):
        raise DataError(f"{file} is not whole: it lacks {', '.join(missing[:SHOWN])}")
    return manifest


def _rows(table: Mapping[str, Any], place: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The mappings in a list of a list of …, and where they are; one that is no list is told by itself."""
    name, *deeper = place
    rows = table.get(name, [])
    if not isinstance(rows, list):
        yield name, {}
        return
    for i, row in enumerate(rows):
        row = row if isinstance(row, dict) else {}
        if not deeper:
            yield f"{name}[{i}]", row
        else:
            yield from ((f"{name}[{i}].{where}", inner) for where, inner in _rows(row, deeper))
