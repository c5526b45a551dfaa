"""freeze: degraded clips made once, kept without loss, and made again bit for bit from their manifest."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.data import unfinished
from vrestore.data.clips import VIDEO_SUFFIXES, Clip, describe, load_clips, some
from vrestore.data.frozen_manifest import FILE_NAME, FORMAT, differing_versions, frames_sha256, read_frozen, versions
from vrestore.data.progress import tracked
from vrestore.data.sizes import round_down, whole_seed
from vrestore.disk import why_unwritten, write_under
from vrestore.errors import ConfigError, DataError, MediaError, VRestoreError
from vrestore.registry import DEGRADATIONS
from vrestore.video import VideoWriter

CONTAINERS = ("mkv", "png")
FOLDER_FPS = Fraction(25)  # of frame folders, which have no rate


def freeze(
    degradation: Mapping[str, Any],
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    recipe_name: str = "",
    seed: int = 0,
    max_frames: int | None = None,
    container: str = "mkv",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: bool = True,
) -> dict[str, Any]:
    """Degrade every clip under `source` and keep the results without loss in a new folder `target`.

    What is drawn for a clip depends on `seed` and the clip's name alone. The folder appears under its name when all of
    it is written; an interrupted run is continued by the same call.

    Args:
        degradation: config of DEGRADATIONS, plain data.
        source: clips, found as `load_clips` does.
        target: folder to make; must not exist.
        recipe_name: where the config came from, for the manifest.
        seed: of everything that is drawn.
        max_frames: take only the first frames of every clip.
        container: `mkv` (FFV1, a file a clip) or `png` (a folder of images a clip).
        include, exclude: glob patterns on the clips' names.
        progress: show a progress bar.

    Returns:
        The manifest, which lies in `target` too: recipe, seed, versions, and each clip's record and SHA-256.

    Raises:
        ConfigError: a recipe or an argument out of range.
        DataError: no readable clip, a clip too small for the recipe, or a target that exists.
    """
    if container not in CONTAINERS:
        raise ConfigError(f"freeze: container must be {' or '.join(CONTAINERS)}, got {container!r}")
    if max_frames is not None and (isinstance(max_frames, bool) or max_frames < 1):
        raise ConfigError(f"freeze: max_frames must be a whole number >= 1, got {max_frames!r}")
    recipe = json.loads(json.dumps(degradation))  # what the manifest will hold, so that both runs build the same
    header = {
        "format": FORMAT,
        "recipe": {"name": recipe_name, "degradation": recipe},
        "seed": whole_seed(seed, "freeze"),
        "max_frames": max_frames,
        "container": container,
        "versions": versions(),
    }
    degrade = DEGRADATIONS.build(dict(recipe))
    header |= {"scale": getattr(degrade, "scale", 1), "protocol": getattr(degrade, "protocol", recipe["type"])}
    target = unfinished.new_folder(target, "frozen clips")
    clips = load_clips(source, include, exclude, progress)
    with _room_told(target):
        return _make(header, degrade, list(zip(_names(clips), clips, strict=True)), target, progress)


def refreeze(
    manifest_path: str | os.PathLike, source: str | os.PathLike, target: str | os.PathLike, *, progress: bool = True
) -> dict[str, Any]:
    """Make the clips of a manifest again, from the same clean clips, and hold them to its hashes.

    Raises:
        DataError: a clean clip is missing or is not the one that was frozen, or a result differs: the message names the
            clip and the versions that changed. Nothing is left in `target` then.
    """
    manifest = read_frozen(Path(manifest_path))
    degrade = DEGRADATIONS.build(dict(manifest["recipe"]["degradation"]))
    target = unfinished.new_folder(target, "frozen clips")
    found = {clip.name: clip for clip in load_clips(source, progress=progress)}
    missing = [entry["source"] for entry in manifest["clips"] if entry["source"] not in found]
    if missing:
        raise DataError(f"{source} lacks {len(missing)} of the {len(manifest['clips'])} frozen clips: {some(missing)}")
    pairs = [(entry["name"], found[entry["source"]]) for entry in manifest["clips"]]
    header = {**{key: value for key, value in manifest.items() if key != "clips"}, "versions": versions()}
    with _room_told(target):
        return _make(header, degrade, pairs, target, progress, then=manifest)


def check_frozen(folder: str | os.PathLike, *, progress: bool = True) -> dict[str, Any]:
    """Decode every clip of a frozen folder and compare it with the manifest's hash.

    Returns:
        The manifest.

    Raises:
        DataError: names the clips that are missing, unreadable or changed.
    """
    folder = Path(folder)
    manifest = read_frozen(folder)
    bad = []
    for entry in tracked(manifest["clips"], "Checking clips", progress, few=2):
        try:
            frames = describe(folder / entry["file"], entry["name"]).read()
        except MediaError as error:
            bad.append(f"{entry['name']} (cannot be read: {error})")
            continue
        if frames_sha256(frames) != entry["sha256"]:
            bad.append(f"{entry['name']} (its frames have changed)")
    if bad:
        raise DataError(f"{folder}: {len(bad)} of {len(manifest['clips'])} clips are not as frozen: {some(bad)}")
    return manifest


def _make(
    header: dict[str, Any],
    degrade: Any,
    pairs: Sequence[tuple[str, Clip]],
    target: Path,
    progress: bool,
    then: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write all clips beside `target`, then the manifest, then move the folder into place."""
    partial, done = unfinished.begin(target, header)
    expected = {entry["name"]: entry for entry in then["clips"]} if then else {}
    entries = []
    for name, clip in tracked(pairs, "Freezing clips", progress, few=2):
        entry = done.get(name)
        if entry is None:
            try:
                with _one_thread():
                    entry = _freeze_clip(name, clip, degrade, header, partial, expected.get(name))
            except _DiffersError as error:
                shutil.rmtree(partial, ignore_errors=True)
                assert then is not None
                raise DataError(f"{error}; {differing_versions(then['versions'], header['versions'])}") from None
            except VRestoreError as error:
                raise DataError(f"clip {clip.name} cannot be frozen: {error}") from error
            unfinished.note(partial, entry)
        entries.append(entry)
    manifest = {**header, "clips": entries}
    text = json.dumps(manifest, indent=1) + "\n"
    write_under(partial / f".{FILE_NAME}.part", partial / FILE_NAME, lambda file: file.write(text.encode("utf-8")))
    unfinished.finish(partial, target)
    return manifest


@contextmanager
def _room_told(target: Path) -> Iterator[None]:
    """One sentence where a folder cannot be written, as on a full disk; what is done of it stays."""
    try:
        yield
    except OSError as error:
        told = why_unwritten(error, error.filename or target)
        raise DataError(f"{told}; the clips that are done are kept, the same command goes on") from error


class _DiffersError(Exception):
    """A clean or a degraded clip is not the one that was frozen."""


def _freeze_clip(
    name: str, clip: Clip, degrade: Any, header: Mapping[str, Any], folder: Path, expected: Mapping[str, Any] | None
) -> dict[str, Any]:
    clean = clip.read(0, min(clip.n_frames, header["max_frames"] or clip.n_frames))
    source_sha256 = frames_sha256(clean)
    if expected is not None and source_sha256 != expected["source_sha256"]:
        raise _DiffersError(f"clean clip {clip.name} is not the one that was frozen: its frames differ")
    degraded, record = _degraded(clean, degrade, header["seed"], name)
    sha256 = frames_sha256(degraded)
    if expected is not None and sha256 != expected["sha256"]:
        raise _DiffersError(f"clip {name} comes out differently from how it was frozen")
    file = f"clips/{name}" + (".mkv" if header["container"] == "mkv" else "")
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {"mkv": "ffv1", "png": "png"}[header["container"]]
    with VideoWriter(path, fps=clip.fps or FOLDER_FPS, codec=codec, overwrite=True) as writer:
        writer.write(degraded)
    if frames_sha256(describe(path, name).read()) != sha256:
        raise MediaError(f"{path} does not hold the frames that were written; the disk or the codec is at fault")
    return {
        **{"name": name, "source": clip.name, "file": file, "fps": None if clip.fps is None else str(clip.fps)},
        **{"frames": len(degraded), "height": degraded.shape[2], "width": degraded.shape[3]},
        **{"record": record, "sha256": sha256, "source_sha256": source_sha256},
    }


def _degraded(clean_TCHW: Tensor, degrade: Any, seed: int, name: str) -> tuple[Tensor, dict[str, Any]]:
    """The degraded clip, uint8, and its record; what is drawn depends on the seed and the name alone."""
    scale = getattr(degrade, "scale", 1)
    height, width = (round_down(side, scale) for side in clean_TCHW.shape[-2:])
    if not height or not width:
        raise DataError(f"its frames are too small for the scale {scale:g}")
    rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    frames, record = degrade(clean_TCHW[..., :height, :width].float().div_(255), rng)
    return frames.clamp(0, 1).mul_(255).round_().to(torch.uint8), record


def _names(clips: Sequence[Clip]) -> list[str]:
    """The clips' names without a video's suffix, but with it where two would be alike."""
    stems = [
        clip.name[: -len(suffix)]
        if (suffix := Path(clip.name).suffix).lower() in VIDEO_SUFFIXES and clip.path.is_file()
        else clip.name
        for clip in clips
    ]
    return [stem if stems.count(stem) == 1 else clip.name for stem, clip in zip(stems, clips, strict=True)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread of PyTorch: how work is split over threads can change a last bit, and a codec makes much of it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
