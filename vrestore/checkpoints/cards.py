"""What is known of every restorer, as plain data: what `vrestore zoo` shows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from vrestore.checkpoints.download import cached_path
from vrestore.checkpoints.index import Weights, ZooEntry, closest_names, zoo
from vrestore.checkpoints.weightless import weightless
from vrestore.checkpoints.zoo import locate, model_told_by
from vrestore.config import carried_folder
from vrestore.errors import RegistryError
from vrestore.registry import BACKBONES, MODELS, load_installed
from vrestore.restorers.base import BaseRestorer


def cards() -> list[dict[str, Any]]:
    """A card for every entry of the model zoo, and for every registered restorer that no entry names."""
    load_installed()
    MODELS.import_from_location()
    entries = zoo()
    classes = _without_entry(entries)
    return [_card(entry) for entry in entries.values()] + [_card_of_class(*item) for item in classes.items()]


def card(name: str) -> dict[str, Any]:
    """The card of one restorer.

    Returns:
        Plain data: ``name``, ``summary``, ``kind`` (restorer, network), ``model`` (its config), ``capabilities``,
        ``parameters``, ``weights`` and ``also`` (with ``state``: ships, downloaded, to download, by hand, missing),
        ``numbers``, ``paper``, ``card``; what is unknown is None, and ``note`` says why.

    Raises:
        RegistryError: there is none of that name; the closest are named.
    """
    load_installed()
    MODELS.import_from_location()
    entries = zoo()
    if name in entries:
        return _card(entries[name])
    classes = _without_entry(entries)
    if name in classes:
        return _card_of_class(name, classes[name])
    known = [*entries, *classes]
    close = closest_names(name, known)
    raise RegistryError(
        f"the zoo has no '{name}'; {'closest: ' + ', '.join(close) if close else 'it has: ' + ', '.join(known)}"
    )


def _without_entry(entries: Mapping[str, ZooEntry]) -> dict[str, Any]:
    """Registered restorers that no entry of the zoo names."""
    named = {entry.model["type"] for entry in entries.values() if entry.model}
    return {name: cls for name, cls in MODELS.module_dict.items() if name not in named}


def _card(entry: ZooEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "summary": entry.summary,
        "kind": "network" if entry.network else "restorer",
        "model": entry.model or entry.network,
        **_look_at(entry),
        "weights": _weights(entry.weights) if entry.weights else None,
        "also": [_weights(other) for other in entry.also],
        "numbers": [dict(row) for row in entry.numbers],
        "paper": entry.paper,
        "card": str(carried_folder("model_zoo") / entry.card) if entry.card else None,
    }


def _card_of_class(name: str, cls: Any) -> dict[str, Any]:
    summary = (inspect.getdoc(cls) or "").partition("\n")[0] or "registered without a description"
    entry = ZooEntry(name=name, summary=summary, model={"type": name})
    data = _card(entry)
    if data["capabilities"] is None:
        data["note"] = "needs arguments: name it in a config"
    return data


def _weights(weights: Weights) -> dict[str, Any]:
    if weights.file is not None:
        state = "ships" if (carried_folder("model_zoo") / weights.file).is_file() else "missing"
    elif weights.url is not None:
        state = "downloaded" if cached_path(weights.url).is_file() else "to download"
    else:
        state = "by hand"
    return {**asdict(weights), "state": state}


def _look_at(entry: ZooEntry) -> dict[str, Any]:
    """Capabilities and size, told by the module itself, built without memory for its weights."""
    unknown: dict[str, Any] = {"capabilities": None, "parameters": None, "note": None}
    try:
        module = _build(entry)
    except Exception as error:  # one broken entry must not hide the others
        return {**unknown, "note": str(error).partition("\n")[0]}
    if isinstance(module, BaseRestorer):
        unknown["capabilities"] = module.capabilities.as_dict()
    elif not entry.network:
        unknown["note"] = "no restorer: it does not derive from BaseRestorer"
    unknown["parameters"] = sum(p.numel() for p in module.parameters())
    return unknown


def _build(entry: ZooEntry) -> torch.nn.Module:
    model: Mapping[str, Any] | None = entry.model
    if entry.network is None and model is None:
        assert entry.weights is not None  # the index was checked
        model = model_told_by(locate(entry.weights))
    registry = BACKBONES if entry.network is not None else MODELS
    with weightless():
        return registry.build(dict(entry.network or model or {}))
