"""shard: clips packed into WebDataset tar files, with a manifest of where each lies and what it is."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vrestore.data import unfinished
from vrestore.data.clip_dataset import caption_of
from vrestore.data.clips import VIDEO_SUFFIXES, Clip, load_clips, some
from vrestore.data.progress import tracked
from vrestore.data.scenes import scene_cuts
from vrestore.data.shards import FILE_NAME, FORMAT, read_shards
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.video import archive
from vrestore.video.folder import FrameFolder

GIB = 2**30
BLOCK = 512  # tar counts in these
READ_BYTES = 1 << 20


def shard(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    shard_bytes: int = GIB,
    shard_clips: int | None = None,
    scenes: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    index: str | os.PathLike | None = None,
    prefix: str = "shard",
    progress: bool = True,
) -> dict[str, Any]:
    """Pack every clip under `source`, its file or frames as they are, into tar files in a new folder `target`.

    The same clips and arguments give the same bytes. The folder appears under its name when all of it is written; an
    interrupted run is continued by the same call. Clips that cannot be read are left out, counted and named.

    Args:
        source: clips, found as `load_clips` does.
        target: folder to make; must not exist.
        shard_bytes: a shard is full before it grows beyond this; one clip that is larger has a shard of its own.
        shard_clips: most clips of a shard.
        scenes: look for scene cuts, for which every clip is decoded once.
        include, exclude: glob patterns on the clips' names.
        index: file of a `ClipIndex`, which knows cuts already.
        prefix: of the names: ``shard-000000.tar``, ….
        progress: show a progress bar.

    Returns:
        The manifest, which lies in `target` too: each shard's bytes and SHA-256, each clip's size, rate, cuts, caption,
        and where its members lie.

    Raises:
        ConfigError: an argument out of range.
        DataError: no readable clip, a target that exists, or a disk that cannot be written to.
    """
    for name, value in (("shard_bytes", shard_bytes), ("shard_clips", shard_clips)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"shard: {name} must be a whole number >= 1, got {value!r}")
    if not prefix or prefix != Path(prefix).name or prefix.startswith("."):
        raise ConfigError(f"shard: prefix must be a plain name, got {prefix!r}")
    target = unfinished.new_folder(target, "shards")
    clips = load_clips(source, include, exclude, progress, index=index)
    plan = _plan(clips, shard_bytes, shard_clips)
    header = {"format": FORMAT, "scenes": bool(scenes), "prefix": prefix, "plan": [_marks(group) for group in plan]}
    partial, done = unfinished.begin(target, header)
    keys = _keys(clips)
    bar = iter(tracked(clips, "Writing shards", progress, few=2))
    entries: list[dict[str, Any]] = []
    for number, group in enumerate(plan):
        entry = done.get(str(number))
        if entry is None:
            file = f"{prefix}-{sum(bool(e['clips']) for e in entries):06d}.tar"
            try:
                entry = _write_shard(partial, file, [(keys[c.name], c) for c in _counted(group, bar)], scenes, index)
            except OSError as error:
                raise DataError(
                    f"{partial / file} cannot be written: {error.strerror or error}; the same command goes on from here"
                ) from error
            unfinished.note(partial, {"name": str(number), **entry})
        else:
            list(_counted(group, bar))
        entries.append(entry)
    next(bar, None)
    shards = [{k: v for k, v in e.items() if k not in ("name", "skipped")} for e in entries if e["clips"]]
    skipped = [name for entry in entries for name in entry["skipped"]]
    if not shards:
        raise DataError(f"none of the {len(clips)} clips under {source} can be read: {some(skipped)}")
    told = [clip for each in shards for clip in each["clips"]]
    manifest = {
        **{"format": FORMAT, "clips": len(told), "frames": sum(clip["frames"] for clip in told)},
        **{"bytes": sum(each["bytes"] for each in shards), "skipped": skipped, "shards": shards},
    }
    (partial / FILE_NAME).write_text(json.dumps(manifest) + "\n", encoding="utf-8")
    unfinished.finish(partial, target)
    return manifest


def check_shards(folder: str | os.PathLike, *, progress: bool = True) -> dict[str, Any]:
    """Compare every shard of a folder with the manifest's hash.

    Returns:
        The manifest.

    Raises:
        DataError: names the shards that are missing or changed.
    """
    folder = Path(folder)
    manifest = read_shards(folder)
    bad = []
    for entry in tracked(manifest["shards"], "Checking shards", progress, few=2):
        try:
            if _sha256(folder / entry["file"]) != entry["sha256"]:
                bad.append(f"{entry['file']} (its bytes have changed)")
        except OSError as error:
            bad.append(f"{entry['file']} (cannot be read: {error.strerror})")
    if bad:
        raise DataError(f"{folder}: {len(bad)} of {len(manifest['shards'])} shards are not as written: {some(bad)}")
    return manifest


def _plan(clips: Sequence[Clip], shard_bytes: int, shard_clips: int | None) -> list[list[Clip]]:
    """The clips of each shard, in order."""
    plan: list[list[Clip]] = []
    used = 0
    for clip in clips:
        sizes = [archive.size_of(file) for file in _files(clip)]
        need = sum(BLOCK + -(-size // BLOCK) * BLOCK for size in [*sizes, 4 * BLOCK])  # with its .json, about
        if not plan or used + need > shard_bytes or len(plan[-1]) == shard_clips:
            plan.append([])
            used = 0
        plan[-1].append(clip)
        used += need
    return plan


def _files(clip: Clip) -> list[Path]:
    return FrameFolder(clip.path).files if archive.is_folder(clip.path) else [clip.path]


def _marks(group: Sequence[Clip]) -> list[list]:
    """What tells whether a clip has changed since an interrupted run."""
    return [[clip.name, *max(archive.mark_of(file)[1:] for file in _files(clip))] for clip in group]


def _keys(clips: Sequence[Clip]) -> dict[str, str]:
    """A key for each clip's name, unlike all others: WebDataset takes a name up to its first dot."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for clip in clips:
        name = archive.plain_name(clip.name)
        folder, _, base = name.rpartition("/")
        stem = Path(base).stem if Path(base).suffix.lower() in VIDEO_SUFFIXES else base
        key = "/".join(filter(None, (folder, stem.replace(".", "_") or "_")))
        plain, number = key, 2
        while key.lower() in taken:  # also where a file system or a reader sees no difference of case
            key, number = f"{plain}_{number}", number + 1
        taken.add(key.lower())
        keys[clip.name] = key
    return keys


def _counted(group: Sequence[Clip], bar: Iterator[Clip]) -> Iterator[Clip]:
    """The clips, each moving the bar on."""
    for clip in group:
        next(bar, None)
        yield clip


def _write_shard(
    folder: Path, file: str, clips: Iterator[tuple[str, Clip]] | list, scenes: bool, index: Any
) -> dict[str, Any]:
    """One tar file, written under another name until it is whole."""
    told, skipped = [], []
    unnamed = folder / f".{file}.part"
    with open(unnamed, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for key, clip in clips:
                try:
                    cuts = scene_cuts(clip.path) if scenes and index is None else list(clip.cuts)
                except MediaError:
                    skipped.append(clip.name)
                    continue
                told.append(_add_clip(tar, key, clip, cuts))
        raw.flush()
        os.fsync(raw.fileno())
    if not told:
        unnamed.unlink()
        return {"file": "", "bytes": 0, "sha256": "", "clips": [], "skipped": skipped}
    members = archive.tar_index(unnamed).members
    for entry in told:
        entry["members"] = [[name, *members[name]] for name in entry["members"]]
    size, sha256 = unnamed.stat().st_size, _sha256(unnamed)
    os.replace(unnamed, folder / file)
    return {"file": file, "bytes": size, "sha256": sha256, "clips": told, "skipped": skipped}


def _add_clip(tar: tarfile.TarFile, key: str, clip: Clip, cuts: Sequence[int]) -> dict[str, Any]:
    """Put one sample into an archive: its .json first, so that one cut short is noticed."""
    told = {
        **{"name": clip.name, "frames": clip.n_frames, "height": clip.height, "width": clip.width},
        **{"fps": None if clip.fps is None else str(clip.fps), "cuts": list(cuts), "caption": caption_of(clip)},
    }
    _add(tar, f"{key}.json", io.BytesIO(text := json.dumps(told).encode()), len(text))
    files = _files(clip)
    counted = archive.is_folder(clip.path)
    names = [f"{key}{f'.{i:06d}' if counted else ''}{file.suffix.lower()}" for i, file in enumerate(files)]
    for name, file in zip(names, files, strict=True):
        with archive.open_file(file) as opened:
            _add(tar, name, opened, archive.size_of(file))
    return {"key": key, **told, "members": names}


def _add(tar: tarfile.TarFile, name: str, content: Any, size: int) -> None:
    member = tarfile.TarInfo(name)  # of no owner and no time, so that the same clips make the same bytes
    member.size, member.mode = size, 0o644
    tar.addfile(member, content)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as opened:
        while block := opened.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
