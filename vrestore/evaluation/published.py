"""Published scores that compare with measured ones: the same set, degradation and protocol, from the model zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrestore.checkpoints.index import zoo

# How the zoo's index spells what a protocol says of colour and of frames.
COLOURS = {"RGB": "RGB", "Y of BT.601": "Y"}
ALL_FRAMES = "whole clips"


@dataclass(frozen=True)
class Published:
    """What was published of one entry of the zoo on one benchmark.

    Attributes:
        entry: name of the zoo's entry.
        values: a score a column of the table, None where none was published under its protocol.
        source: where it stands.
    """

    entry: str
    values: tuple[float | None, ...]
    source: str


def published_scores(
    dataset: str | None, degradation: str | None, protocols: Sequence[Mapping[str, Any]]
) -> list[Published]:
    """The zoo's published scores under the protocols of a table.

    Args:
        dataset: the benchmark's dataset, as the index spells it: `Vid4`, `Vimeo-90K-T`.
        degradation: `BIx4`, ….
        protocols: of the table's columns.

    Returns:
        A row for every entry and source that has a score in one of the columns, in the order of the index.
    """
    found = []
    for entry in zoo().values():
        rows = [row for row in entry.numbers if (row["set"], row["degradation"]) == (dataset, degradation)]
        for source in dict.fromkeys(str(row["source"]) for row in rows):
            own = [row for row in rows if row["source"] == source]
            values = tuple(_value(own, protocol) for protocol in protocols)
            if any(value is not None for value in values):
                found.append(Published(entry.name, values, source))
    return found


def protocol_text(protocol: Mapping[str, Any]) -> str | None:
    """A metric's protocol as the index spells it: ``Y, crop border 0, whole clips``.

    None where it departs from what publications do in ways that the index has no words for.
    """
    usual = protocol.get("rounding") == "uint8" and protocol.get("resize") == "none"
    colour = COLOURS.get(str(protocol.get("colour")))
    if not usual or colour is None:
        return None
    frames = protocol.get("frames")
    return f"{colour}, crop border {protocol.get('crop_border')}, {ALL_FRAMES if frames == 'all' else frames}"


def _value(rows: Sequence[Mapping[str, Any]], protocol: Mapping[str, Any]) -> float | None:
    key, text = str(protocol.get("metric")).lower(), protocol_text(protocol)
    return next((row[key] for row in rows if key in row and row["protocol"] == text), None)
