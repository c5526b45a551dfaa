"""The standard video super-resolution test sets, in the folders that published comparisons keep them in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrestore.data.benchmarks.base import REAL, ClipBenchmark, Pair
from vrestore.data.clips import describe, holds_images, some
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.registry import DATASETS

PREPARED = "https://github.com/open-mmlab/mmagic/tree/main/tools/dataset_converters"
BI_AND_BD = {"BIx4": "BIx4", "BDx4": "BDx4"}


@dataclass(frozen=True)
class Layout:
    """How a test set lies on disk.

    Attributes:
        name: its name in tables.
        source: where to get it.
        hq: folder of the clean clips; None where there are none.
        lq: folder of the degraded clips by the degradation's name; an empty folder is the root itself.
        clips: frames of each clip by its folder's name; empty where the names are not fixed.
        n_clips: number of clips where the names are not fixed.
        n_frames: frames of each of those; None where they differ.
    """

    name: str
    source: str
    hq: str | None = "GT"
    lq: Mapping[str, str] = field(default_factory=lambda: dict(BI_AND_BD))
    clips: Mapping[str, int] = field(default_factory=dict)
    n_clips: int = 0
    n_frames: int | None = None

    def frames_of(self, clip: str) -> int | None:
        return self.clips.get(clip, self.n_frames)

    def tree(self, root: str | os.PathLike) -> str:
        """The expected folders, drawn."""
        names = [f"{name}/  ({n} images)" for name, n in self.clips.items()]
        if not names:
            count = f"  ({self.n_frames} images)" if self.n_frames else "  (images)"
            names = [f"000/{count}", f"…  ({self.n_clips} folders, whatever their names)"]
        folders = [f"{self.hq}/  (clean)"] if self.hq else []
        folders += [f"{folder}/  (degraded)" for folder in self.lq.values() if folder]
        lines = [f"{root}/"]
        if not folders:
            return "\n".join([*lines, *_branches(names)])
        for i, folder in enumerate(folders):
            last = i == len(folders) - 1
            lines.append(("└── " if last else "├── ") + folder)
            below = _branches(names if i == 0 else ["…  (the same)"])
            lines += [("    " if last else "│   ") + line for line in below]
        return "\n".join(lines)


class LaidOutBenchmark(ClipBenchmark):
    """A test set in its standard folders; a subclass holds its `layout`.

    Args:
        root: folder of the set.
        degradation: name of a published degraded version (`BIx4`, …), or a config of DEGRADATIONS that makes one from
            the clean clips.
        hq_root, lq_root: folders of the clean and the degraded clips, where they lie elsewhere than in the tree.
        clips: take only these, by name.
        partial: accept that clips or frames are missing.
        max_frames, crop_to, seed: as in `ClipBenchmark`.

    With `clips`, `partial`, `max_frames` or `crop_to` the name ends in "(part)", for the averages compare with no
    published ones.

    Raises:
        ConfigError: there is no such published version or clip.
        DataError: the tree is not complete; shows the expected one and where to get the set.
    """

    layout: Layout

    def __init__(
        self,
        root: str | os.PathLike,
        degradation: str | Mapping[str, Any] = "BIx4",
        hq_root: str | os.PathLike | None = None,
        lq_root: str | os.PathLike | None = None,
        clips: Sequence[str] | None = None,
        partial: bool = False,
        max_frames: int | None = None,
        crop_to: int | tuple[int, int] | None = None,
        seed: int = 0,
    ):
        self.root = Path(root)
        published = degradation if isinstance(degradation, str) else None
        folders: dict[str, Path] = {}
        if self.layout.hq is not None:
            folders["hq"] = Path(hq_root or self.root / self.layout.hq)
        if published is not None:
            folders["lq"] = Path(lq_root) if lq_root else self._published_folder(published)
        part = partial or any(value is not None for value in (clips, max_frames, crop_to))
        super().__init__(
            self._pairs(folders, clips, partial),
            name=self.layout.name + (" (part)" if part else ""),
            degradation=None if isinstance(degradation, str) else degradation,
            degradation_name=published,
            max_frames=max_frames,
            crop_to=crop_to,
            seed=seed,
        )

    def _published_folder(self, degradation: str) -> Path:
        if degradation not in self.layout.lq:
            raise ConfigError(
                f"{self.layout.name} has no published version '{degradation}', only {', '.join(self.layout.lq)}; "
                "another one is made by a config of DEGRADATIONS: degradation=dict(type='BicubicDown', scale=4)"
            )
        return self.root / self.layout.lq[degradation]

    def _pairs(self, folders: Mapping[str, Path], chosen: Sequence[str] | None, partial: bool) -> list[Pair]:
        """Open every clip that is asked for, noting what is not as it should be."""
        absent = [f"the folder {folder}" for folder in folders.values() if not folder.is_dir()]
        if absent:
            raise self._incomplete(absent)
        names = list(self.layout.clips) or _subfolders(next(iter(folders.values())))
        wrong = []
        if not self.layout.clips and chosen is None and len(names) != self.layout.n_clips:
            wrong.append(f"{max(0, self.layout.n_clips - len(names))} clips (it holds {len(names)})")
        pairs = []
        for name in _selection(names, chosen, self.layout.name):
            sides, short = {}, []
            for side, folder in folders.items():
                try:
                    sides[side] = describe(folder / name, name)
                except MediaError as error:
                    short.append(str(folder / name) if not holds_images(folder / name) else f"readable frames: {error}")
                    continue
                expected, found = self.layout.frames_of(name), sides[side].n_frames
                if expected is not None and found != expected:
                    wrong.append(f"frames of {folder / name} (it has {found}, the set has {expected})")
            wrong += short
            if not short:
                pairs.append(Pair(name, **sides))
        if (wrong and not partial) or not pairs:
            raise self._incomplete(wrong)
        return pairs

    def _incomplete(self, lacks: Sequence[str]) -> DataError:
        layout = self.layout
        return DataError(
            f"{layout.name} is not complete in {self.root}: it lacks {some(lacks)}. Expected:\n"
            f"{layout.tree(self.root)}\nGet it from {layout.source}, or take what is there with partial=True."
        )


@DATASETS.register_module()
class Vid4(LaidOutBenchmark):
    """Vid4 (Liu & Sun, On Bayesian Adaptive Video Super Resolution, TPAMI 2013): 4 clips, scored on Y."""

    layout = Layout("Vid4", f"{PREPARED}/vid4", clips={"calendar": 41, "city": 34, "foliage": 49, "walk": 47})


@DATASETS.register_module()
class REDS4(LaidOutBenchmark):
    """REDS4 (Wang et al., EDVR, 2019): clips 000, 011, 015 and 020 of the REDS training set, scored on RGB.

    Reads the tree of REDS itself; the `BDx4` version has to be made by a degradation.
    """

    layout = Layout(
        "REDS4",
        "https://seungjunnah.github.io/Datasets/reds.html (train_sharp and train_sharp_bicubic)",
        hq="train_sharp",
        lq={"BIx4": "train_sharp_bicubic/X4"},
        clips=dict.fromkeys(("000", "011", "015", "020"), 100),
    )


@DATASETS.register_module()
class UDM10(LaidOutBenchmark):
    """UDM10 (Yi et al., PFNL, ICCV 2019): 10 clips of 32 frames, scored on Y."""

    layout = Layout("UDM10", f"{PREPARED}/udm10", n_clips=10, n_frames=32)


@DATASETS.register_module()
class SPMCS(LaidOutBenchmark):
    """SPMCS-30 (Tao et al., Detail-Revealing Deep Video Super-Resolution, ICCV 2017): 30 clips of 31 frames."""

    layout = Layout("SPMCS", f"{PREPARED}/spmcs", n_clips=30, n_frames=31)


@DATASETS.register_module()
class VideoLQ(LaidOutBenchmark):
    """VideoLQ (Chan et al., RealBasicVSR, CVPR 2022): 50 degraded clips from the web, without clean partners."""

    layout = Layout("VideoLQ", f"{PREPARED}/videolq", hq=None, lq={REAL: ""}, n_clips=50)

    def __init__(
        self,
        root: str | os.PathLike,
        clips: Sequence[str] | None = None,
        partial: bool = False,
        max_frames: int | None = None,
    ):
        super().__init__(root, REAL, clips=clips, partial=partial, max_frames=max_frames)


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _selection(names: Sequence[str], chosen: Sequence[str] | None, benchmark: str) -> list[str]:
    unknown = [name for name in chosen or () if name not in names]
    if unknown:
        raise ConfigError(f"{benchmark} has no clip {some(unknown)}; it has {some(names)}")
    return list(names if chosen is None else chosen)


def _branches(entries: Sequence[str]) -> list[str]:
    return [("└── " if i == len(entries) - 1 else "├── ") + entry for i, entry in enumerate(entries)]
