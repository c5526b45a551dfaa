"""Cells: the result of one method on one clip of one benchmark, kept on disk under the hash of what made it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vrestore.evaluation.files import safe_name, write_text
from vrestore.evaluation.protocol import plain_hash, protocol_id
from vrestore.evaluation.statistics import ClipMean, clip_mean

SCHEMA = 1


@dataclass(frozen=True)
class Score:
    """One metric on one clip.

    Attributes:
        name: of the column.
        protocol: how it was made.
        unit: `dB`, or empty.
        higher_is_better: which way is better.
        frames: a value a frame, or None when it was not measured.
        reason: why it was not measured.
    """

    name: str
    protocol: dict[str, Any]
    unit: str
    higher_is_better: bool
    frames: list[float] | None
    reason: str | None = None

    @property
    def protocol_id(self) -> str:
        return protocol_id(self.protocol)

    @property
    def clip(self) -> ClipMean:
        return clip_mean(self.frames or [])


@dataclass(frozen=True)
class Cell:
    """One method on one clip of one benchmark.

    Attributes:
        key: hash of what made it.
        method, benchmark, clip: names.
        input_hash: of the degraded clip and its ground truth.
        weights: hash of the method's parameters, or None where it has none.
        parameters: number of parameters.
        frames: frames that were judged.
        size: (height, width) of the output.
        cost: seconds and bytes (`vrestore.evaluation.cost.Cost` as plain data), and `frames`, the frames restored.
        scores: one a metric.
        alignment: `vrestore.evaluation.alignment.Alignment` as plain data; None without ground truth.
        record: what the degradation drew.
        resumed: taken from disk rather than computed in this run.
    """

    key: str
    method: str
    benchmark: str
    clip: str
    input_hash: str
    weights: str | None
    parameters: int
    frames: int
    size: tuple[int, int]
    cost: dict[str, Any]
    scores: list[Score]
    alignment: dict[str, Any] | None
    record: Any = None
    resumed: bool = field(default=False, compare=False)

    @property
    def seconds_per_frame(self) -> float:
        return self.cost["seconds"] / self.restored_frames

    @property
    def restored_frames(self) -> int:
        return self.cost.get("frames", self.frames)


@dataclass(frozen=True)
class Failure:
    """A method that failed: on a clip, or (clip None) as a whole."""

    method: str
    benchmark: str
    clip: str | None
    error: str


class CellStore:
    """The finished cells under a folder, one JSON file each, written whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, benchmark: str, method: str, clip: str, key: str) -> Path:
        return self.folder / safe_name(benchmark) / safe_name(method) / f"{safe_name(clip)}-{key[:16]}.json"

    def read(self, benchmark: str, method: str, clip: str, key: str) -> Cell | None:
        """The finished cell of this key, or None; a damaged file counts as unfinished."""
        path = self.path(benchmark, method, clip, key)
        try:
            cell = cell_from_plain(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return cell if cell.key == key else None

    def write(self, cell: Cell) -> Path:
        path = self.path(cell.benchmark, cell.method, cell.clip, cell.key)
        return write_text(path, json.dumps(cell_to_plain(cell), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def cell_key(**parts: Any) -> str:
    """The identity of a cell: SHA-256 of everything that its numbers depend on."""
    return plain_hash({"schema": SCHEMA, **parts})


def cell_to_plain(cell: Cell) -> dict[str, Any]:
    """What JSON holds of a cell; numbers that JSON does not know are written as text."""
    data = asdict(cell)
    data.pop("resumed")
    data["size"] = list(cell.size)
    for score, plain in zip(cell.scores, data["scores"], strict=True):
        plain["frames"] = None if score.frames is None else [encode_number(v) for v in score.frames]
        mean = score.clip
        plain |= {"mean": encode_number(mean.mean), "infinite": mean.infinite, "unmeasured": mean.unmeasured}
    return {"schema": SCHEMA, **data}


def cell_from_plain(data: Mapping[str, Any]) -> Cell:
    """The inverse of `cell_to_plain`, the cell marked as resumed."""
    if data.get("schema") != SCHEMA:
        raise ValueError("another schema")
    scores = [
        Score(
            name=plain["name"],
            protocol=plain["protocol"],
            unit=plain["unit"],
            higher_is_better=plain["higher_is_better"],
            frames=None if plain["frames"] is None else [decode_number(v) for v in plain["frames"]],
            reason=plain["reason"],
        )
        for plain in data["scores"]
    ]
    fields = {name: data[name] for name in Cell.__dataclass_fields__ if name not in ("scores", "size", "resumed")}
    return Cell(**fields, scores=scores, size=tuple(data["size"]), resumed=True)


def encode_number(value: float) -> float | str:
    """Infinity and NaN as the texts `inf`, `-inf` and `nan`: JSON has no such numbers."""
    return value if math.isfinite(value) else repr(float(value))


def decode_number(value: float | str) -> float:
    return float(value)
