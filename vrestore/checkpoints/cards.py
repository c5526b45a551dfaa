"""What is known of every restorer, as plain data: what `vrestore zoo` shows."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from vrestore.checkpoints.index import ZooEntry, closest_names, find_entry, zoo
from vrestore.checkpoints.listing import volatile_parts
from vrestore.checkpoints.weightless import weightless
from vrestore.checkpoints.zoo import locate, model_told_by
from vrestore.errors import ConfigError, RegistryError
from vrestore.registry import BACKBONES, MODELS, load_installed
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales


def cards() -> list[dict[str, Any]]:
    """A card for every entry of the model zoo, and for every registered restorer that no entry names."""
    load_installed()
    MODELS.import_from_location()
    entries = zoo()
    shown = [_card_of_class(*item) for item in _without_entry(entries).items()]
    return [_card(entry) for entry in entries.values()] + shown


def card(name: str) -> dict[str, Any]:
    """The card of one restorer.

    Returns:
        Plain data: ``name``, ``method``, ``summary``, ``kind`` (restorer, network), ``model`` (its config), ``config``
        (the file it stands in), ``capabilities``, ``parameters``, ``weights`` and ``also`` (with ``state``: ships,
        installed, downloaded, to download, by hand, missing; and ``available_from``: ships, package NAME, url, by
        hand), ``numbers``, ``paper``, ``card``; what is unknown is None, and
        ``note`` says why.

    Raises:
        RegistryError: there is none of that name; the closest are named.
    """
    load_installed()
    MODELS.import_from_location()
    entries = zoo()
    entry = find_entry(name, entries)
    if entry is not None:
        return _card(entry)
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
    named = {_model_of(entry).get("type") for entry in entries.values()}
    return {name: cls for name, cls in MODELS.module_dict.items() if name not in named}


def _model_of(entry: ZooEntry) -> Mapping[str, Any]:
    try:
        return entry.restorer_config() or entry.network or {}
    except ConfigError:  # told by `_look_at`; it must not hide the other entries
        return {}


def _card(entry: ZooEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "method": entry.method,
        "summary": entry.summary,
        "kind": "network" if entry.network else "restorer",
        "model": _model_of(entry) or None,
        "config": entry.config,
        **_look_at(entry),
        "numbers": [dict(row) for row in entry.numbers],
        "paper": entry.paper,
        **volatile_parts(entry),
    }


def _card_of_class(name: str, cls: Any) -> dict[str, Any]:
    summary = (inspect.getdoc(cls) or "").partition("\n")[0] or "registered without a description"
    entry = ZooEntry(name=name, summary=summary, model={"type": name})
    data = _card(entry)
    if data["capabilities"] is None:
        data["note"] = "needs arguments: name it in a config"
    return data


def _look_at(entry: ZooEntry) -> dict[str, Any]:
    """Capabilities and size, told by the module itself, built without memory for its weights."""
    kind = "network" if entry.network is not None else "restorer"
    try:
        config = entry.network or entry.restorer_config()
        if entry.facts is not None:
            return _of_facts(entry)
        if config is None:
            assert entry.weights is not None  # the index was checked
            config = model_told_by(locate(entry.weights))
        return dict(_look_at_config(kind, json.dumps(config, sort_keys=True)))
    except Exception as error:  # one broken entry must not hide the others
        return {"capabilities": None, "parameters": None, "note": str(error).partition("\n")[0]}


def _of_facts(entry: ZooEntry) -> dict[str, Any]:
    """Capabilities and size as the index states them, of a network that cannot be built without its weights."""
    assert entry.facts is not None
    scale = float(entry.facts["scale"])
    licence = entry.weights.licence if entry.weights else None
    capabilities = Capabilities(spatial_scales=Scales(fixed=(scale,)), default_scale=scale, weights_licence=licence)
    return {"capabilities": capabilities.as_dict(), "parameters": int(entry.facts["parameters"]), "note": None}


@cache
def _look_at_config(kind: str, config: str) -> dict[str, Any]:
    """What `_look_at` finds; releases of one network share it."""
    with weightless():
        module = (BACKBONES if kind == "network" else MODELS).build(json.loads(config))
    restorer = isinstance(module, BaseRestorer)
    return {
        "capabilities": module.capabilities.as_dict() if restorer else None,
        "parameters": sum(p.numel() for p in module.parameters()),
        "note": None if restorer or kind == "network" else "no restorer: it does not derive from BaseRestorer",
    }
