"""The recorded listing of the model zoo: cards of every restorer, read as data without building a network.

`model_zoo/cards.json` holds what `vrestore.checkpoints.cards.cards` returns, except for what depends on the machine.
tools/render_docs.py writes it, and a test compares it with the modules.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from vrestore.checkpoints.index import Weights, ZooEntry, closest_names, zoo
from vrestore.checkpoints.sources import state_of
from vrestore.config import carried_folder
from vrestore.errors import RegistryError
from vrestore.plugins import ENTRY_POINT_GROUP

# Parts of a card that the index or the machine determines; they are not recorded.
UNRECORDED = ("weights", "also", "card")


def recorded_cards() -> list[dict[str, Any]] | None:
    """Cards of every entry of the model zoo and of every restorer of vrestore, as `vrestore.checkpoints.cards.cards`.

    Returns:
        None where the record does not cover this installation: a plug-in is installed, or an entry is not recorded.
    """
    if importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        return None
    entries, recorded = zoo(), _read(record_file())
    if recorded is None or not entries.keys() <= {item["name"] for item in recorded}:
        return None
    return [{**item, **volatile_parts(entries.get(item["name"]))} for item in recorded]


def write_record(file: Path, cards: Sequence[Mapping[str, Any]]) -> None:
    """Write cards without the parts that depend on the machine, a card per line."""
    lines = [json.dumps({k: v for k, v in card.items() if k not in UNRECORDED}, ensure_ascii=False) for card in cards]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def record_file() -> Path:
    """Where the record is stored."""
    return carried_folder("model_zoo") / "cards.json"


def volatile_parts(entry: ZooEntry | None) -> dict[str, Any]:
    """The parts of a card that are not recorded; None where the card belongs to no entry."""
    return {
        "weights": weights_card(entry.weights) if entry and entry.weights else None,
        "also": [weights_card(other) for other in entry.also] if entry else [],
        "card": str(carried_folder("model_zoo") / entry.card) if entry and entry.card else None,
    }


def weights_card(weights: Weights) -> dict[str, Any]:
    """Weights as data, with ``state`` and ``available_from``."""
    available_from = list(dict.fromkeys(source.availability for source in weights.all_sources))
    return {**asdict(weights), "name": weights.name, "state": state_of(weights), "available_from": available_from}


def select(cards: Sequence[Mapping[str, Any]], word: str | None) -> Any:
    """What `vrestore zoo [WORD]` shows of all cards.

    Returns:
        All cards without a word; the card of that name or alias, or the only one that holds the word in its name,
        method or summary, in any case; else the list of those that hold it.

    Raises:
        RegistryError: no card holds the word; the closest names are listed.
    """
    if word is None:
        return list(cards)
    named = next((card for card in cards if word in (card["name"], *card["aliases"])), None)
    if named is not None:
        return named
    found = [card for card in cards if any(word.lower() in text.lower() for text in _texts(card))]
    if found:
        return found[0] if len(found) == 1 else found
    names = [card["name"] for card in cards]
    close = closest_names(word, names)
    raise RegistryError(
        f"the zoo has no '{word}'; {'closest: ' + ', '.join(close) if close else 'it has: ' + ', '.join(names)}"
    )


def _texts(card: Mapping[str, Any]) -> tuple[str, ...]:
    return (card["name"], *card["aliases"], card["method"] or "", card["summary"])


@cache
def _read(file: Path) -> list[dict[str, Any]] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
