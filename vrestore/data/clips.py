"""Finding clips: which video files and frame folders lie under a root, and how long and large each is."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from vrestore.data.progress import tracked
from vrestore.errors import DataError, MediaError
from vrestore.video import VideoReader, read_clip

VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".gif", ".y4m", ".ogv", ".3gp", ".mpg", ".mpeg",
    ".ts", ".mts", ".m2ts", ".264", ".h264", ".265", ".hevc",
))  # fmt: skip
IMAGE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm"))
COUNTED = re.compile(r"\{(\d+)\.\.(\d+)\}")  # as WebDataset writes lists of shards
SHOWN = 5  # names listed in a message before "and N more"


class DamagedClipWarning(UserWarning):
    """Windows of a clip cannot be decoded; a training counts and names them in its log instead."""


@dataclass(frozen=True)
class Clip:
    """One readable clip.

    Attributes:
        path: video file or folder of frames.
        name: path relative to the root it was found under, with forward slashes.
        n_frames: number of frames that decode.
        height, width: size of a frame in pixels, as shown.
        fps: frames per second; None for a folder of frames.
        cuts: numbers of the frames that begin a new scene, where an index knows them.
        caption: what is told of it, where a shard holds that.
    """

    path: Path
    name: str
    n_frames: int
    height: int
    width: int
    fps: Fraction | None = None
    cuts: tuple[int, ...] = ()
    caption: str | None = None

    @property
    def scenes(self) -> list[tuple[int, int]]:
        """(first frame, number of frames) of every scene; one that is the whole clip where no cuts are known."""
        begins = [0, *self.cuts]
        return [(a, b - a) for a, b in zip(begins, [*begins[1:], self.n_frames], strict=True)]

    @property
    def nbytes(self) -> int:
        """Size of the decoded clip in 8-bit RGB."""
        return self.n_frames * 3 * self.height * self.width

    def read(self, start: int = 0, count: int | None = None, stride: int = 1) -> Tensor:
        """Decode frames `start, start + stride, …`: uint8 (count, 3, H, W).

        Raises:
            MediaError: the frames cannot be decoded.
        """
        count = self.n_frames - start if count is None else count
        frames = read_clip(self.path, start, count, stride=stride, dtype="uint8")
        if len(frames) != count:
            raise MediaError(f"{self.path}: {count} frames from {start} on were asked, {len(frames)} decode")
        return frames


def load_clips(
    roots: str | os.PathLike | Sequence[str | os.PathLike],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: bool = False,
    names: str | os.PathLike | None = None,
    index: str | os.PathLike | None = None,
) -> list[Clip]:
    """Every readable clip under the roots, in the order of the roots and of the names.

    A root is a folder that holds video files and frame folders at any depth, a frame folder, a video file, or
    WebDataset shards: a tar file, a pattern of such (``shards/train-{000000..000041}.tar``, ``shards/*.tar``), or a
    folder that holds tar files and no other clips. What cannot be read is skipped, counted and named in one warning.

    Args:
        roots: one or several paths.
        include: glob patterns on a clip's name; empty takes all.
        exclude: glob patterns of names to leave out.
        progress: show a progress bar where there are many.
        names: text file with the names of the clips to take, one a line, as published sets bring them.
        index: file of a `ClipIndex`, made or brought up to date on the way; clips that it knows are not opened.

    Raises:
        DataError: a root or the list is missing, `index` is no index, or no readable clip is left.
    """
    return open_clips(roots, include, exclude, progress, names, index)[0]


def open_clips(
    roots: str | os.PathLike | Sequence[str | os.PathLike],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: bool = False,
    names: str | os.PathLike | None = None,
    index: str | os.PathLike | None = None,
) -> tuple[list[Clip], dict[str, str]]:
    """As `load_clips`: the readable clips, and why each of the others cannot be read, by its name."""
    roots = [roots] if isinstance(roots, (str, os.PathLike)) else list(roots)
    found: list[tuple[Path, str]] = []
    closed: list[tuple[str, str]] = []
    for root in roots:
        found += [clip for each in expand(root) for clip in find_clips(each, closed)]
    chosen = [(path, name) for path, name in found if _wanted(name, include, exclude)]
    if names is not None:
        listed = set(read_names(names))
        chosen = [(path, name) for path, name in chosen if name in listed]
    where = ", ".join(str(root) for root in roots)
    if not chosen and closed:
        raise DataError(f"no clip under {where} can be read: {closed[0][1]}")
    if not chosen:
        rules = f"include={list(include)}, exclude={list(exclude)}" + (f", names={str(names)!r}" if names else "")
        filters = f" ({rules} left none of {len(found)})" if found else ""
        raise DataError(
            f"no clip under {where or 'no root at all'}{filters}; expected video files or folders of frames"
        )
    clips: list[Clip] = []
    unreadable = closed
    known = _open_index(index)
    from vrestore.data.shards import stored_clip  # which makes clips of this module

    for path, name in tracked(chosen, "Opening clips", progress):
        try:
            clip = stored_clip(path, name)
            if clip is None:
                clip = describe(path, name) if known is None else known.clip(path, name)
            clips.append(clip)
        except MediaError as error:
            unreadable.append((name, str(error)))
    if known is not None:
        known.save()
    if unreadable:
        names_of_them = some(sorted(n for n, _ in unreadable))
        message = (
            f"{len(unreadable)} of {len(clips) + len(unreadable)} clips under {where} cannot be read: {names_of_them}"
        )
        if not clips:
            raise DataError(f"{message}; the first says: {unreadable[0][1]}")
        warnings.warn(f"{message}; they are left out", stacklevel=2)
    return clips, dict(unreadable)


def _open_index(file: str | os.PathLike | None):
    if file is None:
        return None
    from vrestore.data.clip_index import ClipIndex  # which describes clips by this module

    return ClipIndex(file)


def find_clips(root: str | os.PathLike, closed: list[tuple[str, str]] | None = None) -> list[tuple[Path, str]]:
    """Video files and frame folders under a root, as (path, name), sorted by name; nothing is opened but shards.

    Args:
        root: a folder, or a single clip.
        closed: takes the folders that cannot be looked into, and why.

    Raises:
        DataError: there is nothing at `root`, or it is not let be seen.
    """
    from vrestore.data.shards import clips_in, is_shard, shards_under

    root = Path(root)
    try:
        there = root.exists()
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from error
    if not there:
        raise DataError(f"{root} does not exist; expected a folder of clips (video files or folders of frames)")
    if is_shard(root):
        return clips_in(root)
    if root.is_file():
        return [(root, root.name)]
    found = []

    def note(error: OSError) -> None:
        folder = Path(error.filename or root)
        name = folder.relative_to(root).as_posix() if folder != root else root.name
        if closed is not None:
            closed.append((name, f"the folder {folder} cannot be read: {error.strerror}"))

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=note):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        here = Path(folder)
        if any(_is_image(name) for name in files):
            found.append((here, here.relative_to(root).as_posix() if here != root else root.resolve().name))
        for name in files:
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                found.append((here / name, (here / name).relative_to(root).as_posix()))
    if not found:
        found = [clip for shard in shards_under(root) for clip in clips_in(shard)]
    return sorted(found, key=lambda item: item[1])


def expand(root: str | os.PathLike) -> list[Path]:
    """The files that a pattern of tar files names: ``{000..041}`` counts, ``*`` and ``?`` stand for what is there.

    Raises:
        DataError: a pattern that names nothing.
    """
    text = os.fspath(root)
    if not text.endswith(".tar") or Path(root).exists():
        return [Path(root)]
    names = [text]
    while match := COUNTED.search(names[0]):
        first, last = match[1], match[2]
        numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
        names = [COUNTED.sub(lambda _, n=n: n, name, count=1) for name in names for n in numbers]  # type: ignore[misc]
        if not names:
            raise DataError(f"{text} names no file: {first} is above {last}")
    if any(sign in text for sign in "*?"):
        names = [found for name in names for found in sorted(glob.glob(name))]
        if not names:
            raise DataError(f"no file fits {text}")
    return [Path(name) for name in names]


def read_names(file: str | os.PathLike) -> list[str]:
    """The names of clips in a text file, one a line.

    Raises:
        DataError: it is missing or empty.
    """
    try:
        names = [line.strip() for line in Path(file).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise DataError(f"the list of clips {file} cannot be read: {error.strerror}") from error
    names = [name for name in names if name]
    if not names:
        raise DataError(f"the list of clips {file} is empty")
    return names


def describe(path: Path, name: str) -> Clip:
    """Open a clip far enough to know its exact length and its size.

    Raises:
        MediaError: it cannot be read.
    """
    with VideoReader(path) as reader:
        info = reader.info
        n_frames = reader.frame_count if info.frame_count is None else info.frame_count
    if not n_frames:
        raise MediaError(f"'{path}' holds no frame")
    return Clip(path, name, n_frames, info.height, info.width, info.fps)


def some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def holds_images(folder: Path) -> bool:
    """Whether a folder holds at least one image by its suffix."""
    return folder.is_dir() and any(_is_image(entry.name) for entry in folder.iterdir())


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    taken = not include or any(fnmatch.fnmatch(name, pattern) for pattern in include)
    return taken and not any(fnmatch.fnmatch(name, pattern) for pattern in exclude)
