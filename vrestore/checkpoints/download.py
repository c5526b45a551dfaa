"""Download weights once, resumably, into a cache."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import unquote, urlsplit

import platformdirs
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from vrestore.checkpoints.checksums import check_sha256
from vrestore.disk import free_bytes, is_full, why_unwritten
from vrestore.errors import WeightsError
from vrestore.version import __version__

CACHE_VARIABLE = "VRESTORE_CACHE"
OFFLINE_VARIABLE = "VRESTORE_OFFLINE"
TIMEOUT_SECONDS = 30
ATTEMPTS = 3
BLOCK_BYTES = 1 << 18

_offline: ContextVar[bool] = ContextVar("offline", default=False)


def is_offline() -> bool:
    """Whether downloads are disabled: by ``$VRESTORE_OFFLINE`` (``1``, ``true``, ``yes``, ``on``) or `offline_mode`."""
    return _offline.get() or os.environ.get(OFFLINE_VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")


@contextlib.contextmanager
def offline_mode(enabled: bool = True) -> Iterator[None]:
    """Context in which no weights are downloaded.

    Args:
        enabled: False changes nothing.
    """
    token = _offline.set(enabled or _offline.get())
    try:
        yield
    finally:
        _offline.reset(token)


def cache_folder() -> Path:
    """Where downloads are kept: ``$VRESTORE_CACHE``, else the user's cache folder of this system."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("vrestore")).expanduser()


def cached_path(url: str, folder: str | os.PathLike | None = None) -> Path:
    """Where the file of `url` lies once it is downloaded: also the place to put it by hand."""
    name = Path(unquote(urlsplit(url).path)).name or "weights"
    # Releases share names such as latest.pth, so that each address gets a folder of its own.
    return Path(folder or cache_folder()) / "weights" / hashlib.sha256(url.encode()).hexdigest()[:8] / name


def fetch(
    url: str,
    *,
    sha256: str | None = None,
    folder: str | os.PathLike | None = None,
    progress: bool = True,
    mirrors: Sequence[str] = (),
) -> Path:
    """The cached file of `url`, downloaded first where it is not there yet.

    An interrupted download is resumed (HTTP ranges), also by a later run. The file appears under its name only when it
    is whole and its sum is right. Concurrent processes download a file once.

    Args:
        url: an http or https address.
        sha256: its SHA-256 or the first 8 or more digits of it; None accepts any file.
        folder: the cache; None is `cache_folder`.
        progress: show a bar with speed and time left on stderr.
        mirrors: further addresses of the same file, tried in order if `url` fails.

    Raises:
        WeightsError: no network, offline mode, an error of the server, a full disk, or another file than expected; the
            message has the address and the path where the file can be put by hand.
    """
    for address in (url, *mirrors):
        if urlsplit(address).scheme not in ("http", "https"):
            raise WeightsError(f"'{address}' is no http or https address")
    target = cached_path(url, folder)
    if is_offline() and not target.is_file():
        raise WeightsError(_unavailable(url, target, "offline mode"))
    try:
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(target.name + ".lock")):
                if not target.is_file():
                    _download_any((url, *mirrors), target, sha256, progress)
    except OSError as error:
        raise WeightsError(f"{why_unwritten(error, target)}; set ${CACHE_VARIABLE}") from error
    check_sha256(target, sha256)
    return target


def _download_any(urls: Sequence[str], target: Path, sha256: str | None, progress: bool) -> None:
    failures = []
    for url in urls:
        try:
            _download(url, target, sha256, progress)
            return
        except WeightsError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise WeightsError("; ".join(map(str, failures))) from failures[0]


def _download(url: str, target: Path, sha256: str | None, progress: bool) -> None:
    part = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part, target.name, progress)
            break
        except urllib.error.HTTPError as error:
            raise WeightsError(_unavailable(url, target, f"the server answers {error.code} {error.reason}")) from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            if attempt == ATTEMPTS or isinstance(error, urllib.error.URLError):
                reason = getattr(error, "reason", None) or error
                raise WeightsError(_unavailable(url, target, str(reason) or type(reason).__name__)) from error
        except OSError as error:
            if is_full(error):  # a partial file would keep the disk full
                _discard(part)
            raise
    try:
        check_sha256(part, sha256)
    except WeightsError as error:
        _discard(part)
        raise WeightsError(f"{url} gave another file than expected: {error}") from error
    os.replace(part, target)
    _validator_file(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


def _transfer(url: str, part: Path, name: str, progress: bool) -> None:
    """Bring `part` up to the whole file, going on where it ends if the server still has the same file.

    Raises:
        http.client.IncompleteRead: the connection ended early; `part` keeps what came.
    """
    validator = _validator_file(part)
    have = part.stat().st_size if part.is_file() and validator.is_file() else 0
    headers = {"User-Agent": f"vrestore/{__version__}"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text(encoding="utf-8")}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if (error.headers.get("Content-Range") or "").rpartition("/")[2] != str(have):
            part.unlink()
            _transfer(url, part, name, progress)
        return
    with response:
        resumed = response.status == 206 and (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
        if response.status == 206 and not resumed:
            raise http.client.HTTPException("the server sent another range than asked")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        free = free_bytes(part)
        if total is not None and free is not None and total - have > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if mark and not mark.startswith("W/"):
            validator.write_text(mark, encoding="utf-8")
        else:  # without a mark nobody can tell whether the rest would be of the same file
            validator.unlink(missing_ok=True)
        with open(part, "ab" if resumed else "wb") as file, _bar(progress) as bar:
            task = bar.add_task(name, total=total, completed=have)
            while block := response.read(BLOCK_BYTES):
                file.write(block)
                have += len(block)
                bar.update(task, completed=have)
    if total is not None and have != total:
        raise http.client.IncompleteRead(b"", total - have)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".mark")


def _bar(progress: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=not progress, transient=True)


def _unavailable(url: str, target: Path, reason: str) -> str:
    return f"could not download {url} ({reason}); download it by hand, put it at {target}, and run again"
