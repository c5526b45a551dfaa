"""Benchmarks made of a plain folder of clips."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vrestore.data.benchmarks.base import BICUBIC_X4, ClipBenchmark, Pair
from vrestore.data.clips import VIDEO_SUFFIXES, Clip, describe, load_clips, some
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.registry import DATASETS


@DATASETS.register_module()
class FolderBenchmark(ClipBenchmark):
    """Every clip of a folder: video files and folders of images, at any depth.

    The clips are clean ones and are degraded by `degradation`, or have degraded partners of the same name (a video's
    suffix aside) in `lq_root`; with neither, they are degraded already and have no clean partner.

    Args:
        root: the folder, or a single clip.
        degradation: config that makes the degraded clips; None with `lq_root`, or for clips that are degraded already.
        lq_root: folder of the degraded partners.
        scale: factor between the partners; with `degradation`, its own counts.
        name: the benchmark's name in tables; None is the folder's.
        degradation_name: protocol in tables; None is the degradation's own, the folder's name of `lq_root`, or `real`.
        include, exclude: glob patterns on the clips' names.
        max_frames, crop_to, seed, time_step: as in `ClipBenchmark`.

    Raises:
        ConfigError: both `degradation` and `lq_root` are given.
        DataError: no clip can be read, or partners are missing or unlike.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        degradation: Mapping[str, Any] | None = None,
        lq_root: str | os.PathLike | None = None,
        scale: float = 4,
        name: str | None = None,
        degradation_name: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        max_frames: int | None = None,
        crop_to: int | tuple[int, int] | None = None,
        seed: int = 0,
        time_step: int = 1,
    ):
        if degradation is not None and lq_root is not None:
            raise ConfigError(
                "FolderBenchmark takes degradation or lq_root, not both: degraded clips are made or given"
            )
        clips = load_clips(root, include, exclude)
        if lq_root is not None:
            pairs = _matched(clips, load_clips(lq_root), root, lq_root)
        elif degradation is not None:
            pairs = [Pair(_stem(clip), hq=clip) for clip in clips]
        else:
            pairs = [Pair(_stem(clip), lq=clip) for clip in clips]
        super().__init__(
            pairs,
            name=name or Path(root).resolve().name,
            degradation=degradation,
            degradation_name=degradation_name or (Path(lq_root).name if lq_root is not None else None),
            scale=scale,
            max_frames=max_frames,
            crop_to=crop_to,
            seed=seed,
            time_step=time_step,
        )


@DATASETS.register_module()
class VrestoreBench(ClipBenchmark):
    """One folder a clip, with its clean frames in `gt.mp4` or `gt/`, and perhaps published degraded ones beside them.

    Args:
        root: folder that holds the clips' folders.
        degradation: config that makes the degraded clips, or the name of a subfolder that holds them (`lr_bicubic_x4`);
            clips without that subfolder are then left out.
        scale: factor between given partners; with a config, its own counts.
        clips: take only these, by name.
        name: the benchmark's name in tables; None is the folder's.
        max_frames, crop_to, seed, time_step: as in `ClipBenchmark`.

    Raises:
        DataError: the tree is not as expected; shows the expected one.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        degradation: str | Mapping[str, Any] = BICUBIC_X4,
        scale: float = 4,
        clips: Sequence[str] | None = None,
        name: str | None = None,
        max_frames: int | None = None,
        crop_to: int | tuple[int, int] | None = None,
        seed: int = 0,
        time_step: int = 1,
    ):
        given = degradation if isinstance(degradation, str) else None
        super().__init__(
            _bench_pairs(Path(root), clips, given),
            name=name or Path(root).resolve().name,
            degradation=None if isinstance(degradation, str) else degradation,
            degradation_name=given,
            scale=scale,
            max_frames=max_frames,
            crop_to=crop_to,
            seed=seed,
            time_step=time_step,
        )


def _bench_pairs(root: Path, chosen: Sequence[str] | None, given: str | None) -> list[Pair]:
    found = sorted(entry for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []
    clean = {entry.name: path for entry in found for path in (entry / "gt.mp4", entry / "gt") if path.exists()}
    wanted = sorted(clean) if chosen is None else list(chosen)
    if not wanted or any(name not in clean for name in wanted):
        lacks = some([name for name in wanted if name not in clean]) or "any clip"
        raise DataError(f"{root} lacks {lacks}. Expected:\n{_bench_tree(root)}")
    pairs = []
    for name in wanted:
        degraded = root / name / given if given is not None else None
        if degraded is not None and not degraded.exists():
            continue
        try:
            lq = None if degraded is None else describe(degraded, name)
            pairs.append(Pair(name, hq=describe(clean[name], name), lq=lq))
        except MediaError as error:
            raise DataError(f"clip {name} of {root} cannot be read: {error}") from error
    if not pairs:
        raise DataError(f"no clip of {root} has a folder '{given}' of degraded frames. Expected:\n{_bench_tree(root)}")
    return pairs


def _bench_tree(root: Path) -> str:
    return (
        f"{root}/\n├── some_clip/\n│   └── gt.mp4  (clean frames, one video)\n└── another_clip/\n"
        "    ├── gt/  (or clean frames as images)\n    └── lr_bicubic_x4/  (degraded frames as images, optional)"
    )


def _matched(clean: list[Clip], degraded: list[Clip], root: Any, lq_root: Any) -> list[Pair]:
    partners = {_stem(clip): clip for clip in degraded}
    missing = [_stem(clip) for clip in clean if _stem(clip) not in partners]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(clean)} clips of {root} have no partner of the same name in {lq_root}: "
            f"{some(missing)}"
        )
    return [Pair(_stem(clip), hq=clip, lq=partners[_stem(clip)]) for clip in clean]


def _stem(clip: Clip) -> str:
    suffix = Path(clip.name).suffix
    return clip.name[: -len(suffix)] if suffix.lower() in VIDEO_SUFFIXES and clip.path.is_file() else clip.name
