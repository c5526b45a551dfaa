"""The index of the model zoo: every known restorer, its weights, their terms and their numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

from vrestore.config import carried_folder, check_keys, load_config
from vrestore.errors import ConfigError

# Keys of an index file that are no entries.
INCLUDE, SHARED = "_include", "_all"


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
        note: what else to know: how to get it by hand, which part it is.
    """

    url: str | None = None
    file: str | None = None
    release: str | None = None
    sha256: str | None = None
    licence: str | None = None
    source: str | None = None
    trained_on: str | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        """The file's own name, as its release calls it."""
        return PurePosixPath(unquote(urlsplit(self.url).path) if self.url else self.file or self.release or "").name


@dataclass(frozen=True)
class ZooEntry:
    """One restorer of the zoo, or one network that is a part of restorers.

    Attributes:
        name: what `load_restorer` and the command line call it.
        summary: one line on what it is.
        method: what it is listed under.
        model: config of the restorer (MODELS). Where neither it nor `config` is given, the weight file tells it.
        config: a config file of vrestore's own instead, whose `model` is taken.
        network: config of the network (BACKBONES) where the entry is no restorer.
        weights: its weights, or None where it has none.
        also: further files of the same method: other releases of the same network, and weights of parts.
        numbers: published or measured scores, each with its protocol and source.
        paper: address of the paper.
        card: file with more, relative to the model zoo's folder.
    """

    name: str
    summary: str
    method: str | None = None
    model: Mapping[str, Any] | None = None
    config: str | None = None
    network: Mapping[str, Any] | None = None
    weights: Weights | None = None
    also: tuple[Weights, ...] = ()
    numbers: tuple[Mapping[str, Any], ...] = ()
    paper: str | None = None
    card: str | None = None

    def restorer_config(self) -> Mapping[str, Any] | None:
        """Config of the restorer, or None where the weight file has to tell it, or where the entry is a network.

        A config may serve releases of unlike terms: the licence is the entry's.

        Raises:
            ConfigError: the named config cannot be read or names no model.
        """
        if self.config is None:
            return self.model
        terms = {"weights_licence": self.weights.licence} if self.weights and self.weights.licence else {}
        return {**_model_of(self.config), **terms}

    @property
    def all_weights(self) -> list[Weights]:
        """Its weights and everything under `also`."""
        return [*([self.weights] if self.weights else []), *self.also]


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


def released_weights(name: str) -> Weights | None:
    """What the index knows of a file of this name; None where it knows nothing, or files of unlike terms."""
    found = [w for entry in zoo().values() for w in entry.all_weights if w.name == name]
    return found[0] if len({w.licence for w in found}) == 1 else None


@cache
def _read_index(file: Path) -> dict[str, ZooEntry]:
    """The entries of an index file, then those of the files that it includes."""
    content = _read_yaml(file)
    shared = content.pop(SHARED, {})
    included = content.pop(INCLUDE, [])
    entries = {
        name: _entry(name, {**shared, **(data or {})}, f"{file}, entry '{name}'")
        for name, data in content.items()
        if not name.startswith("_")  # such keys hold what entries refer to
    }
    for other in included:
        for name, entry in _read_index(file.parent / other).items():
            if name in entries:
                raise ConfigError(f"{file.parent / other}: the model zoo has an entry '{name}' already")
            entries[name] = entry
    return entries


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"the model zoo's index {file} is missing from this installation of vrestore") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"the model zoo's index {file} is no YAML: {error}") from error


def _entry(name: str, data: dict, where: str) -> ZooEntry:
    fields = {key for key in ZooEntry.__dataclass_fields__ if key != "name"}
    check_keys(data, fields, where)
    weights = [data["weights"]] if data.get("weights") else []
    for item in [*weights, *data.get("also", [])]:
        check_keys(item, Weights.__dataclass_fields__, where)
    if "summary" not in data or not (data.get("model") or data.get("config") or weights):
        raise ConfigError(f"{where} needs a summary, and a model or weights that tell it")
    if sum(bool(data.get(key)) for key in ("model", "config", "network")) > 1:
        raise ConfigError(f"{where} takes one of model, config and network")
    return ZooEntry(
        **{
            **data,
            "name": name,
            "weights": Weights(**weights[0]) if weights else None,
            "also": tuple(Weights(**item) for item in data.get("also", [])),
            "numbers": tuple(data.get("numbers", [])),
        }
    )


@cache
def _model_of(config: str) -> Mapping[str, Any]:
    # The package's own file, even where the working directory has one of the same name.
    model = load_config(carried_folder("configs") / config).get("model")
    if not isinstance(model, Mapping):
        raise ConfigError(f"config {config} of the model zoo names no model=dict(type='…', …)")
    return model.to_dict() if hasattr(model, "to_dict") else dict(model)
