"""Download and verify the weights of the model zoo (`vrestore zoo fetch`, `vrestore zoo verify`); imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vrestore.checkpoints.checksums import check_sha256
from vrestore.checkpoints.index import Weights, ZooEntry, closest_names, find_entry, zoo
from vrestore.checkpoints.sources import is_downloadable, is_local, is_open, local_files, resolve
from vrestore.errors import RegistryError, WeightsError


@dataclass(frozen=True)
class Fetched:
    """Result for one entry.

    Attributes:
        name: of the entry.
        path: the file to load, or None.
        error: why there is none; None if the entry has a file or needs none.
    """

    name: str
    path: Path | None = None
    error: str | None = None


@dataclass(frozen=True)
class Verified:
    """Result for one file.

    Attributes:
        path: the file.
        state: ``ok``, ``no checksum``, ``missing`` (a shipped file) or ``mismatch``.
        error: details of a mismatch, or None.
    """

    path: Path
    state: str
    error: str | None = None


def entries_named(names: Sequence[str]) -> list[ZooEntry]:
    """Return the entries with these names or aliases.

    Raises:
        RegistryError: an unknown name; the message has the closest ones.
    """
    found = []
    for name in names:
        entry = find_entry(name)
        if entry is None:
            close = closest_names(name, zoo())
            raise RegistryError(f"the zoo has no '{name}'" + (f"; closest: {', '.join(close)}" if close else ""))
        found.append(entry)
    return found


def open_entries() -> list[ZooEntry]:
    """Return the entries with weights that can be obtained and whose licence allows any use."""
    return [entry for entry in zoo().values() if entry.weights and _is_free(entry.weights)]


def _is_free(weights: Weights) -> bool:
    return is_open(weights.licence) and (is_downloadable(weights) or is_local(weights))


def fetch_entries(entries: Sequence[ZooEntry], progress: bool = True) -> Iterator[Fetched]:
    """Download the weights of entries that are not on this machine; a failure does not stop the others.

    Args:
        entries: of the zoo.
        progress: show progress on stderr.
    """
    for entry in entries:
        if entry.weights is None:
            yield Fetched(entry.name)
            continue
        try:
            yield Fetched(entry.name, path=resolve(entry.weights, progress=progress))
        except WeightsError as error:
            yield Fetched(entry.name, error=str(error))


def verify_files() -> Iterator[Verified]:
    """Compare every weight file of the zoo on this machine with its SHA-256, shipped and installed files included."""
    seen = set()
    for weights in (weights for entry in zoo().values() for weights in entry.all_weights):
        for source, files in local_files(weights):
            for file, sha256 in zip(files, source.checksums(), strict=True):
                if file not in seen:
                    seen.add(file)
                    yield _verified(file, sha256)
        for source in weights.all_sources:
            if source.file and not source.cached_files()[0].is_file():
                yield Verified(source.cached_files()[0], "missing")


def _verified(file: Path, sha256: str | None) -> Verified:
    try:
        check_sha256(file, sha256)
    except WeightsError as error:
        return Verified(file, "mismatch", str(error))
    except OSError as error:
        return Verified(file, "mismatch", f"{file} cannot be read: {error.strerror or error}")
    return Verified(file, "ok" if sha256 else "no checksum")
