"""Vimeo90KT: the test septuplets of Vimeo-90K, of which the middle frame is judged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vrestore.data.benchmarks.base import ClipBenchmark, Pair
from vrestore.data.clips import describe, read_names, some
from vrestore.errors import ConfigError, DataError, MediaError
from vrestore.registry import DATASETS

FRAMES = 7
SOURCE = "http://toflow.csail.mit.edu (the septuplet dataset)"
PUBLISHED = ("BIx4", "BDx4")
# What a restorer is given, and which of its frames make the picture that is held against im4.
PROTOCOLS = {
    "mirrored": "7 frames mirrored to 14, mean of both centre frames",
    "centre": "7 frames, the centre frame",
}


@DATASETS.register_module()
class Vimeo90KT(ClipBenchmark):
    """Vimeo-90K-T (Xue et al., Video Enhancement with Task-Oriented Flow, IJCV 2019): 7824 septuplets, scored on Y.

    Published comparisons judge the fourth frame only. Networks that were trained on mirrored septuplets are given the
    seven frames followed by the same in reverse, and the mean of both centre frames (3 and 10 of 0 to 13) is judged.
    That mean is taken of frames in [0, 1]; MMagic cuts to [0, 1] after it.

    Args:
        root: folder with ``sep_testlist.txt``, ``sequences/00001/0266/im1.png`` … ``im7.png`` (clean), and the same
            folders under ``BIx4`` or ``BDx4`` for a published degraded version.
        degradation: name of a published degraded version, or a config of DEGRADATIONS that makes one from the clean
            frames.
        protocol: ``mirrored``, or ``centre``: the seven frames as they are, the fourth is judged.
        hq_root, lq_root: folders of the clean and the degraded septuplets, where they lie elsewhere.
        names: list of the septuplets, one a line; None is ``sep_testlist.txt`` in the root.
        clips: take only these, by name (``00001/0266``).
        first: take only the first so many.
        crop_to, seed: as in `ClipBenchmark`.

    With `clips`, `first` or `crop_to` the name ends in "(part)".

    Raises:
        ConfigError: an unknown protocol or published version.
        DataError: the list or a septuplet is missing or incomplete; shows the expected tree.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        degradation: str | Mapping[str, Any] = "BIx4",
        protocol: str = "mirrored",
        hq_root: str | os.PathLike | None = None,
        lq_root: str | os.PathLike | None = None,
        names: str | os.PathLike | None = None,
        clips: Sequence[str] | None = None,
        first: int | None = None,
        crop_to: int | tuple[int, int] | None = None,
        seed: int = 0,
    ):
        if protocol not in PROTOCOLS:
            raise ConfigError(f"Vimeo90KT: protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
        published = degradation if isinstance(degradation, str) else None
        if published is not None and published not in PUBLISHED:
            raise ConfigError(
                f"Vimeo90KT has no published version '{published}', only {', '.join(PUBLISHED)}; another one is made "
                f"by a config of DEGRADATIONS: degradation=dict(type='BicubicDown', scale=4)"
            )
        self.root, self.protocol = Path(root), protocol
        chosen = _chosen(names or self.root / "sep_testlist.txt", clips, first)
        folders = {"hq": Path(hq_root or self.root / "sequences")}
        if published is not None:
            folders["lq"] = Path(lq_root or self.root / published)
        part = any(value is not None for value in (clips, first, crop_to))
        super().__init__(
            [self._septuplet(name, folders) for name in chosen],
            name="Vimeo-90K-T" + (" (part)" if part else ""),
            degradation=None if isinstance(degradation, str) else degradation,
            degradation_name=published,
            crop_to=crop_to,
            seed=seed,
        )

    @property
    def frames_protocol(self) -> str:
        """What is given and judged, as protocols state it."""
        return PROTOCOLS[self.protocol]

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = super().__getitem__(index)
        middle = FRAMES // 2
        sample["hq"] = sample["hq"][middle : middle + 1]
        sample["judged"] = (middle,)
        if self.protocol == "mirrored":
            sample["lq"] = torch.cat([sample["lq"], sample["lq"].flip(0)])
            sample["judged"] = (middle, 2 * FRAMES - 1 - middle)
        return sample

    def _septuplet(self, name: str, folders: Mapping[str, Path]) -> Pair:
        sides = {}
        for side, folder in folders.items():
            try:
                sides[side] = describe(folder / name, name)
            except MediaError as error:
                raise DataError(f"Vimeo-90K-T: {folder / name} cannot be read ({error}). {self._expected()}") from error
            found = sides[side].n_frames
            if found != FRAMES:
                raise DataError(f"Vimeo-90K-T: {folder / name} has {found} frames, not {FRAMES}. {self._expected()}")
        return Pair(name, **sides)

    def _expected(self) -> str:
        return (
            f"Expected:\n{self.root}/\n├── sep_testlist.txt  (00001/0266, …)\n├── sequences/  (clean)\n"
            "│   └── 00001/\n│       └── 0266/  (im1.png to im7.png)\n└── BIx4/  (degraded; BDx4/ likewise)\n"
            f"    └── …  (the same)\nGet it from {SOURCE}, or make the degraded frames: degradation=dict(…)."
        )


def _chosen(file: str | os.PathLike, clips: Sequence[str] | None, first: int | None) -> list[str]:
    names = read_names(file)
    unknown = [name for name in clips or () if name not in names]
    if unknown:
        raise ConfigError(f"Vimeo-90K-T has no clip {some(unknown)}; its list has {some(names)}")
    return list(names if clips is None else clips)[:first]
