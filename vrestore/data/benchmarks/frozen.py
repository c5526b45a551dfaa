"""FrozenBenchmark: the clips of a folder that `vrestore freeze` made, held to their hashes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vrestore.data.benchmarks.base import ClipBenchmark, Pair
from vrestore.data.clips import Clip, describe, load_clips, some
from vrestore.data.frozen_manifest import frames_sha256, read_frozen
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.registry import DATASETS


@DATASETS.register_module()
class FrozenBenchmark(ClipBenchmark):
    """Degraded clips as they were frozen, with the clean ones to compare with where those are at hand.

    Every clip is decoded and held to the manifest's SHA-256 when it is read, clean ones too, so that two results are
    results on the same frames. The records are those of the manifest.

    Args:
        root: folder made by `vrestore freeze`.
        hq_root: folder of the clean clips that were frozen; None leaves the clips without clean partners.
        clips: take only these, by name.
        name: the benchmark's name in tables; None is the folder's.
        max_frames: take only the first frames of every clip (after all were checked).
        crop_to: as in `ClipBenchmark`.

    Raises:
        ConfigError: a clip that was not frozen, or a recipe that draws sizes or key frames, which no table compares.
        DataError: no manifest, a missing clip, or frames that are not those that were frozen.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        hq_root: str | os.PathLike | None = None,
        clips: Sequence[str] | None = None,
        name: str | None = None,
        max_frames: int | None = None,
        crop_to: int | tuple[int, int] | None = None,
    ):
        root = Path(root)
        manifest = read_frozen(root)
        entries = {entry["name"]: entry for entry in manifest["clips"]}
        unknown = [clip for clip in clips or () if clip not in entries]
        if unknown:
            raise ConfigError(f"{root} holds no clip {some(unknown)}; it holds {some(entries)}")
        chosen = list(entries if clips is None else clips)
        drawn = [name for name in chosen if entries[name]["record"].get("scale", 1) != manifest["scale"]]
        if drawn:
            raise ConfigError(
                f"{root} was frozen by a recipe that draws the scale of each clip ({some(drawn)}), so that no table "
                "can compare its clips; freeze one with a fixed scale"
            )
        clean = _clean_clips(hq_root, [entries[name] for name in chosen])
        self._expected: dict[Path, str] = {}
        pairs = []
        for clip_name in chosen:
            entry = entries[clip_name]
            try:
                lq = describe(root / entry["file"], clip_name)
            except MediaError as error:
                raise DataError(f"frozen clip {clip_name} of {root} cannot be read: {error}") from error
            self._expected[lq.path] = entry["sha256"]
            hq = clean.get(entry["source"])
            if hq is not None:
                self._expected[hq.path] = entry["source_sha256"]
                hq = _cut(hq, manifest.get("max_frames"))
            pairs.append(Pair(clip_name, hq=hq, lq=lq))
        super().__init__(
            pairs,
            name=name or root.resolve().name,
            degradation_name=manifest["protocol"],
            scale=manifest["scale"],
            max_frames=max_frames,
            crop_to=crop_to,
        )
        self._records = {clip_name: entries[clip_name]["record"] for clip_name in chosen}

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = super().__getitem__(index)
        return {**sample, "record": {**self._records[sample["clip"]], "given": True}}

    def _frames(self, clip: Clip | None) -> Tensor | None:
        if clip is None:
            return None
        frames = clip.read()
        if frames_sha256(frames) != self._expected[clip.path]:
            raise DataError(f"{self.name}: {clip.path} does not hold the frames that were frozen; freeze them again")
        return frames[: self.max_frames].float().div_(255)


def _clean_clips(hq_root: str | os.PathLike | None, entries: Sequence[dict[str, Any]]) -> dict[str, Clip]:
    if hq_root is None:
        return {}
    found = {clip.name: clip for clip in load_clips(hq_root)}
    missing = [entry["source"] for entry in entries if entry["source"] not in found]
    if missing:
        raise DataError(f"{hq_root} lacks {len(missing)} of the {len(entries)} frozen clips: {some(missing)}")
    return found


def _cut(clip: Clip, max_frames: int | None) -> Clip:
    """The clip with no more than its first frames, which is what was frozen."""
    n_frames = min(clip.n_frames, max_frames or clip.n_frames)
    return Clip(clip.path, clip.name, n_frames, clip.height, clip.width, clip.fps)
