"""Clips within WebDataset shards: plain tar files in which the members of one sample share a key.

A sample is a clip: ``reef.mp4``, or the frames ``reef.000000.png``, ``reef.000001.png``, …, with ``reef.json`` (name,
frames, height, width, fps, cuts, caption) and perhaps ``reef.txt``, a caption. `vrestore shard` writes such, with a
manifest that tells all of it at once; shards by other hands are gone through, and clips without a ``.json`` opened.

WebDataset itself reads a shard from first to last through a shuffled buffer, so that what comes next depends on all
that came before. Here members are read where they lie, by a table of their offsets: any sample can be had at any time,
and a run is resumed exactly, whatever the number of workers and processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from vrestore.data.clips import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Clip
from vrestore.data.manifest import Layout, read_manifest
from vrestore.errors import MediaError
from vrestore.video import archive

FILE_NAME = "shards.json"
FORMAT = "vrestore-shards-1"
LAYOUT = Layout(
    file_name=FILE_NAME,
    format=FORMAT,
    made_by="vrestore shard",
    keys=("shards", "clips", "frames"),
    rows={
        "shards": ("file", "bytes", "sha256", "clips"),
        "shards.clips": ("key", "name", "frames", "height", "width", "fps", "cuts", "caption", "members"),
    },
    without="without it the shards are gone through one by one",
)
INFO_BYTES = 1 << 24  # a longer .json describes no clip


def is_shard(path: Path) -> bool:
    """Whether a path is a tar file, by its name."""
    return path.suffix == archive.SUFFIX and path.is_file()


def shards_under(root: Path) -> list[Path]:
    """The tar files of a folder, at any depth, and those that its manifest names though they are missing."""
    found = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        here = Path(folder)
        found |= {here / name for name in files if name.endswith(archive.SUFFIX) and not name.startswith(".")}
        if FILE_NAME in files:
            found |= {here / shard["file"] for shard in read_shards(here)["shards"]}
    return sorted(found)


def clips_in(shard: Path) -> list[tuple[Path, str]]:
    """The clips of a shard as (path, name); what is damaged is among them, and told by `stored_clip`."""
    return [(path, name) for path, (name, _) in _table(shard).items()]


def stored_clip(path: Path, name: str) -> Clip | None:
    """What its shard tells of a clip; None where it lies in none, or none is told of it.

    Raises:
        MediaError: it is damaged, or it stands for a shard that holds no clip.
    """
    inside = archive.split(path)
    shard = inside[0] if inside else path
    if inside is None and shard.suffix != archive.SUFFIX:
        return None
    found = _table(shard).get(path)
    if found is None:
        return None
    if isinstance(found[1], MediaError):
        raise found[1]
    return found[1]


def read_shards(path: str | os.PathLike) -> dict[str, Any]:
    """The manifest of a folder of shards, or the file itself.

    Raises:
        DataError: there is none, or it is no whole manifest.
    """
    return read_manifest(path, LAYOUT)


Found = dict[Path, tuple[str, Clip | MediaError | None]]


def _table(shard: Path) -> Found:
    """What a shard holds: for the path of each clip its name, and what is known of it."""
    try:
        status = shard.stat()
    except OSError as error:
        return {shard: (shard.name, MediaError(f"'{shard}' cannot be read: {error.strerror}"))}
    manifest = shard.parent / FILE_NAME
    manifest_mark = archive.mark_of(manifest) if manifest.is_file() else None
    return _unchanged_table(shard, manifest_mark, status.st_ino, status.st_mtime_ns, status.st_size)


@cache
def _unchanged_table(shard: Path, manifest_mark: tuple[int, ...] | None, *mark: int) -> Found:
    told = None if manifest_mark is None else _told(shard, mark[-1], manifest_mark)
    try:
        found = _from_manifest(shard, told) if told is not None else _gone_through(shard)
    except MediaError as error:
        return {shard: (shard.name, error)}
    if not found:
        what = "videos, or frames such as reef.000000.png"
        return {shard: (shard.name, MediaError(f"'{shard}' holds no clip; expected {what}"))}
    return found


def _told(shard: Path, n_bytes: int, manifest_mark: tuple[int, ...]) -> Mapping[str, Any] | None:
    """What the manifest beside a shard says of it; None where it says nothing, or not how long the shard is."""
    entry = _manifest(shard.parent / FILE_NAME, *manifest_mark).get(shard.name)
    return entry if entry is not None and entry["bytes"] == n_bytes else None


@lru_cache(maxsize=8)
def _manifest(file: Path, *_: int) -> dict[str, Mapping[str, Any]]:
    return {shard["file"]: shard for shard in read_shards(file)["shards"]}


def _from_manifest(shard: Path, told: Mapping[str, Any]) -> Found:
    members = {name: (first, size) for clip in told["clips"] for name, first, size in clip["members"]}
    archive.remember(shard, members)
    found: Found = {}
    for clip in told["clips"]:
        path = shard / (clip["members"][0][0] if len(clip["members"]) == 1 and _is_video(clip) else clip["key"])
        try:
            found[path] = (clip["name"], clip_of(path, clip))
        except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
            found[path] = (str(clip["name"]), MediaError(f"the manifest beside '{shard}' tells it wrong: {error}"))
    return found


def _is_video(clip: Mapping[str, Any]) -> bool:
    return Path(clip["members"][0][0]).suffix.lower() in VIDEO_SUFFIXES


def clip_of(path: Path, told: Mapping[str, Any]) -> Clip:
    """A clip by what its ``.json`` tells.

    Raises:
        KeyError, TypeError, ValueError: it tells not enough.
    """
    fps = None if told["fps"] is None else Fraction(told["fps"])
    frames, height, width = (told[key] for key in ("frames", "height", "width"))
    cuts, caption = tuple(told.get("cuts") or ()), told.get("caption")
    if any(not isinstance(n, int) or n < 1 for n in (frames, height, width)) or any(not 0 < c < frames for c in cuts):
        raise ValueError("sizes out of range")
    if list(cuts) != sorted(set(cuts)) or not isinstance(caption, str | None):
        raise TypeError("no cuts, or no caption")
    return Clip(path, str(told["name"]), frames, height, width, fps, cuts, caption)


def _gone_through(shard: Path) -> Found:
    """The clips of a shard by its members alone.

    Raises:
        MediaError: it is no tar archive.
    """
    index = archive.tar_index(shard)
    lacking = {archive.key_of(name) for name in index.cut_off}
    found: Found = {}
    for key, names in index.samples.items():
        videos = [name for name in names if Path(name).suffix.lower() in VIDEO_SUFFIXES]
        frames = [name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
        if not videos and not frames:
            continue
        path = shard / (videos[0] if videos else key)
        if not videos and key in lacking:
            found[path] = (key, MediaError(f"'{path}' is cut off"))
            continue
        known = _by_its_json(path, shard / f"{key}.json") if f"{key}.json" in index.members else None
        if known is None:
            found[path] = (videos[0] if videos else key, None)
        elif not videos and known.n_frames != len(frames):
            found[path] = (known.name, MediaError(f"'{path}' has {len(frames)} of its {known.n_frames} frames"))
        else:
            found[path] = (known.name, known)
    for name in index.cut_off:
        if shard / archive.key_of(name) in found:
            continue
        found[shard / name] = (f"{shard.name}/{name}", MediaError(f"'{shard / name}' is cut off"))
    if index.damage and not index.cut_off:
        found[shard] = (shard.name, MediaError(f"'{shard}' is damaged: {index.damage}"))
    return found


def _by_its_json(path: Path, file: Path) -> Clip | None:
    """A clip as the ``.json`` of its sample tells; None where that tells something else."""
    try:
        with archive.open_file(file) as opened:
            return clip_of(path, json.loads(opened.read(INFO_BYTES)))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None
