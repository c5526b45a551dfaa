"""The index of the model zoo: every known restorer, its weights, their terms and their numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vrestore.config import carried_folder, check_keys
from vrestore.errors import ConfigError


@dataclass(frozen=True)
class Weights:
    """What is known of one file of weights.

    Attributes:
        url: where it can be downloaded, or None.
        file: where it ships, relative to the model zoo's folder, or None.
        release: name of a released file that has no lasting address.
        sha256: its SHA-256, or the first digits of it where a release tells no more.
        licence: under which terms it may be used.
        source: who made it.
        trained_on: data and degradation.
    """

    url: str | None = None
    file: str | None = None
    release: str | None = None
    sha256: str | None = None
    licence: str | None = None
    source: str | None = None
    trained_on: str | None = None


@dataclass(frozen=True)
class ZooEntry:
    """One restorer of the zoo, or one network that is a part of restorers.

    Attributes:
        name: what `load_restorer` and the command line call it.
        summary: one line on what it is.
        model: config of the restorer (MODELS); None takes the one that its weight file tells.
        network: config of the network (BACKBONES) where the entry is no restorer.
        weights: its weights, or None where it has none.
        also: further releases of the same weights.
        numbers: published or measured scores, each with its protocol and source.
        paper: address of the paper.
        card: file with more, relative to the model zoo's folder.
    """

    name: str
    summary: str
    model: Mapping[str, Any] | None = None
    network: Mapping[str, Any] | None = None
    weights: Weights | None = None
    also: tuple[Weights, ...] = ()
    numbers: tuple[Mapping[str, Any], ...] = ()
    paper: str | None = None
    card: str | None = None


def zoo() -> dict[str, ZooEntry]:
    """Every entry of the model zoo, by name.

    Raises:
        ConfigError: ``model_zoo/index.yml`` is missing or wrong; the message says where.
    """
    return dict(_read_index(carried_folder("model_zoo") / "index.yml"))


def closest_names(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that `name` may have meant: those that hold it, then those that look like it."""
    lowered = {n.lower(): n for n in names}
    holding = [n for low, n in lowered.items() if name and name.lower() in low]
    alike = [lowered[n] for n in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    return list(dict.fromkeys([*holding, *alike]))[:3]


@cache
def _read_index(file: Path) -> dict[str, ZooEntry]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"the model zoo's index {file} is missing from this installation of vrestore") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"the model zoo's index {file} is no YAML: {error}") from error
    return {name: _entry(name, data or {}, f"{file}, entry '{name}'") for name, data in (content or {}).items()}


def _entry(name: str, data: dict, where: str) -> ZooEntry:
    fields = {key for key in ZooEntry.__dataclass_fields__ if key != "name"}
    check_keys(data, fields, where)
    weights = [data["weights"]] if data.get("weights") else []
    for item in [*weights, *data.get("also", [])]:
        check_keys(item, Weights.__dataclass_fields__, where)
    if "summary" not in data or (not data.get("model") and not weights):
        raise ConfigError(f"{where} needs a summary, and a model or weights that tell it")
    return ZooEntry(
        **{
            **data,
            "name": name,
            "weights": Weights(**weights[0]) if weights else None,
            "also": tuple(Weights(**item) for item in data.get("also", [])),
            "numbers": tuple(data.get("numbers", [])),
        }
    )
