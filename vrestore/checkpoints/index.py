"""The index of the model zoo: every known restorer, its weights, their terms and their numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vrestore.checkpoints.sources import WeightSource, parse_source
from vrestore.config import carried_folder, check_keys, load_config
from vrestore.errors import ConfigError

# Keys of an index file that are no entries.
INCLUDE, SHARED = "_include", "_all"
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one is ten times as fast


@dataclass(frozen=True)
class Weights:
    """One set of weights: where it can be obtained, and its terms.

    Attributes:
        url, file, release, sha256: short form of one source, see `WeightSource`.
        sources: where the weights can be obtained, in order of preference; instead of the short form.
        licence: licence of the weights.
        source: their authors.
        trained_on: data and degradation.
        note: further information, such as how to download them by hand.
    """

    url: str | None = None
    file: str | None = None
    release: str | None = None
    sha256: str | None = None
    licence: str | None = None
    source: str | None = None
    trained_on: str | None = None
    note: str | None = None
    sources: tuple[WeightSource, ...] = ()

    @property
    def all_sources(self) -> tuple[WeightSource, ...]:
        """`sources`, or the one of the short form."""
        short = WeightSource(url=self.url, file=self.file, release=self.release, sha256=self.sha256)
        return self.sources or (short,)

    @property
    def name(self) -> str:
        """File name at the first source."""
        return self.all_sources[0].name

    @property
    def names(self) -> tuple[str, ...]:
        """File names at all sources."""
        return tuple(source.name for source in self.all_sources)


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
        aliases: further names.
        facts: ``scale`` and ``parameters`` of a network that is only built from its weights.
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
    aliases: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None

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


def find_entry(name: str, entries: Mapping[str, ZooEntry] | None = None) -> ZooEntry | None:
    """Return the entry with a name or an alias, or None.

    Args:
        name: name or alias.
        entries: entries by name; None is the model zoo.
    """
    entries = zoo() if entries is None else entries
    return entries.get(name) or next((entry for entry in entries.values() if name in entry.aliases), None)


def closest_names(name: str, names: Iterable[str]) -> list[str]:
    """Up to three names that `name` may have meant: those that hold it, then those that look like it."""
    lowered = {n.lower(): n for n in names}
    holding = [n for low, n in lowered.items() if name and name.lower() in low]
    alike = [lowered[n] for n in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
    return list(dict.fromkeys([*holding, *alike]))[:3]


def released_weights(name: str) -> Weights | None:
    """What the index knows of a file of this name; None where it knows nothing, or files of unlike terms."""
    found = [w for entry in zoo().values() for w in entry.all_weights if name in w.names]
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
        return yaml.load(file.read_text(encoding="utf-8"), Loader=SAFE_LOADER) or {}
    except FileNotFoundError:
        raise ConfigError(f"the model zoo's index {file} is missing from this installation of vrestore") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"the model zoo's index {file} is no YAML: {error}") from error


def _entry(name: str, data: dict, where: str) -> ZooEntry:
    fields = {key for key in ZooEntry.__dataclass_fields__ if key != "name"}
    check_keys(data, fields, where)
    weights = [data["weights"]] if data.get("weights") else []
    if "summary" not in data or not (data.get("model") or data.get("config") or weights):
        raise ConfigError(f"{where} needs a summary, and a model or weights that tell it")
    if sum(bool(data.get(key)) for key in ("model", "config", "network")) > 1:
        raise ConfigError(f"{where} takes one of model, config and network")
    return ZooEntry(
        **{
            **data,
            "name": name,
            "weights": _weights(weights[0], where) if weights else None,
            "also": tuple(_weights(item, where) for item in data.get("also", [])),
            "numbers": tuple(data.get("numbers", [])),
            "aliases": tuple(data.get("aliases", [])),
        }
    )


def _weights(data: dict, where: str) -> Weights:
    check_keys(data, Weights.__dataclass_fields__, where)
    sources = data.get("sources")
    if sources is None:
        return Weights(**data)
    short = sorted({"url", "file", "release", "sha256"} & data.keys())
    if short or not isinstance(sources, list) or not sources:
        raise ConfigError(f"{where}: weights takes a list of sources, or a short form ({', '.join(short) or 'url, …'})")
    parsed = (parse_source(source, f"{where}, source {i}") for i, source in enumerate(sources, 1))
    return Weights(**{**data, "sources": tuple(parsed)})


@cache
def _model_of(config: str) -> Mapping[str, Any]:
    # The package's own file, even where the working directory has one of the same name.
    model = load_config(carried_folder("configs") / config).get("model")
    if not isinstance(model, Mapping):
        raise ConfigError(f"config {config} of the model zoo names no model=dict(type='…', …)")
    return model.to_dict() if hasattr(model, "to_dict") else dict(model)
