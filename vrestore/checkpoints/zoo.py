"""load_restorer: a name of the zoo, a config or a weight file in, a restorer that is ready to restore out."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from vrestore.checkpoints.architectures import identify
from vrestore.checkpoints.download import fetch
from vrestore.checkpoints.files import (
    StateDict,
    check_sha256,
    flatten,
    network_part,
    read_file,
    with_own_training_state,
)
from vrestore.checkpoints.index import Weights, closest_names, find_entry, zoo
from vrestore.checkpoints.interpolate import interpolate_weights
from vrestore.checkpoints.lora import load_lora, with_own_lora
from vrestore.checkpoints.materialise import as_dtype
from vrestore.checkpoints.network import fill_from_file, load_exactly, load_network, network_state
from vrestore.checkpoints.recognised import foreign_state, restorer_of
from vrestore.checkpoints.reference import REFERENCE, fill_with_reference
from vrestore.checkpoints.sources import resolve
from vrestore.checkpoints.stages import resolve_stages
from vrestore.checkpoints.terms import restriction, tell_terms, tell_terms_of_file
from vrestore.config import SUFFIXES, check_keys, load_config
from vrestore.errors import ConfigError, RegistryError, WeightsError
from vrestore.registry import LOSSES, MODELS
from vrestore.restorers.base import BaseRestorer, Place, WeightFiles

logger = logging.getLogger("vrestore")

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".bin", ".param")


def load_restorer(
    name_or_config: str | os.PathLike | Mapping[str, Any] | BaseRestorer,
    weights: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
) -> BaseRestorer:
    """A restorer that is ready to restore.

    Args:
        name_or_config: a name of the zoo (`vrestore zoo` lists them), a config file (its `model` is taken), a weight
            file, a dict, or a restorer. A weight file tells its model where tools/train.py wrote it; of any other the
            network is recognised: one of ours, or any single-image network that spandrel knows.
        weights: a weight file or address instead of the zoo's: a checkpoint of tools/train.py (its averaged weights are
            taken), its export, or an official release. ``"reference:"`` makes weights up from the names alone, to try
            or to time a method (see `vrestore.checkpoints.reference`).
        device: None is the GPU where there is one, else the CPU.

    Returns:
        The restorer in evaluation mode, on `device`.

    Raises:
        RegistryError: no such name; the closest are named.
        ConfigError: the config names no model, or needs weights and none were given.
        WeightsError: the weights are missing, damaged, cannot be downloaded, or do not fit.
    """
    model, known, source = _resolve(name_or_config)
    made_up = isinstance(weights, str) and weights.startswith(REFERENCE)
    restorer = model if isinstance(model, BaseRestorer) else MODELS.build(resolve_stages(model, _finder(not made_up)))
    if not isinstance(restorer, BaseRestorer):
        raise ConfigError(f"{source} builds a {type(restorer).__name__}, which is no restorer (BaseRestorer)")
    given = {} if isinstance(model, BaseRestorer) else dict(restorer.weight_files)
    if made_up:
        fill_with_reference(restorer, str(weights).removeprefix(REFERENCE))
        logger.warning(f"{source} has reference weights, made from names alone: what it makes means nothing")
        given.clear()
    elif weights is not None:
        file = _given_file(weights)
        load_weights(restorer, file)
        own = restorer.capabilities.weights_licence
        if not tell_terms_of_file(file) and restriction(own):
            tell_terms(f"{file.name} (if it is an official file)", str(own))
        given.pop("backbone", None)
        given.pop("unet", None)
    elif known is not None and "backbone" not in given:
        file = locate(known)
        load_weights(restorer, file)
        if known.licence:
            tell_terms(str(name_or_config), known.licence, known.source)
        else:
            tell_terms_of_file(file)
    elif restorer.may_run_untrained:
        logger.warning("the restorer has random weights, as its config says: what it makes means nothing")
    elif not isinstance(model, BaseRestorer) and _lacks_weights(restorer, given):
        if not isinstance(name_or_config, Mapping):
            raise ConfigError(f"{source} needs weights and names none; give a weight file (weights=…, --weights FILE)")
        logger.warning("the restorer has random weights: none were given")
    for part, place in given.items():
        load_part(restorer, part, place)
    if "backbone" in given:
        _tell_terms_of_part(given["backbone"], restorer, source)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return restorer.eval().to(device)


def load_weights(restorer: BaseRestorer, file: WeightFiles) -> None:
    """Load a weight file into a restorer: every weight that restoring needs, and none of another model.

    Files of whole restorers, of the network alone under our names, and of official releases are served, and several
    of a kind with shares, ``[(file, 0.3), (file, 0.7)]``. The state of losses is needed for training only and may be
    absent.

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    backbone: Any = getattr(restorer, "backbone", None)
    if hasattr(backbone, "attach_weights"):  # a network that its weights decide
        backbone.attach_weights(foreign_state(_given(file)), str(file))
        return
    own = restorer.state_dict()
    state = with_own_training_state(_flat_state(file), own)
    losses = tuple(f"{name}." for name, module in restorer.named_modules() if type(module) in _loss_classes())
    if any(name in own for name in state if not name.startswith(losses)):
        kept = {name: value for name, value in own.items() if name.startswith(losses) and name not in state}
        load_exactly(restorer, {**kept, **state}, f"{file} for {type(restorer).__name__}")
        return
    if not isinstance(backbone, torch.nn.Module):
        raise WeightsError(f"{file} shares no name with the weights of {type(restorer).__name__}")
    network, architecture = network_part(state), None
    if network.keys() != backbone.state_dict().keys():
        architecture, network = identify(network, str(file))
    load_exactly(backbone, network, f"{file} for {type(backbone).__name__}", architecture)


def load_part(restorer: BaseRestorer, part: str, place: WeightFiles) -> None:
    """Load the weight file of one part of a restorer, in the precision that the restorer asks for.

    Args:
        restorer: whose part is filled.
        part: its name.
        place: where the file is, see `file_at`.

    A network is filled in place, and told when it is (`BaseRestorer.part_loaded`); the part ``lora`` goes into the
    backbone (`load_lora`); a text encoder, which is none, gets its tower attached. The text tower may be absent: the
    encoder says what to download once a prompt needs it. A part may be a restorer itself (``stages.0``), and a part of
    one (``stages.0.backbone``).

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    owner, _, name = part.rpartition(".")
    holder: Any = restorer.get_submodule(owner)
    if owner and isinstance(holder, BaseRestorer):
        load_part(holder, name, place)
        return
    if name == "lora":
        load_lora(holder.backbone, file_at(place))  # type: ignore[arg-type]
        return
    target = getattr(holder, name)
    if isinstance(target, BaseRestorer):
        load_weights(target, place)
        return
    if isinstance(target, torch.nn.Module) and hasattr(target, "attach_weights"):
        load_weights(restorer, place)
        return
    if not isinstance(target, torch.nn.Module):
        _attach_tower(target, part, place)
        return
    dtype = as_dtype(restorer.weights_dtype) if part == "backbone" and restorer.weights_dtype else None
    given = _given(place)
    state = network_state(given) if isinstance(given, Path) else network_part(interpolate_weights(given))
    source = str(given if isinstance(given, Path) else place)
    architecture, own = None, target.state_dict()
    if with_own_lora(state, own).keys() != own.keys():
        architecture, state = identify(state, source)
    state = dict(with_own_lora(state, own))
    load_exactly(target, state, f"{source} for the {part}, {type(target).__name__},", architecture, dtype=dtype)
    holder.part_loaded(part)


def _attach_tower(encoder: Any, part: str, place: Any) -> None:
    """Give a text encoder its tower; where the file is absent, only its place."""
    tower: Path | None
    try:
        tower = file_at(place)
    except WeightsError as error:
        logger.warning(f"the {part} has no weights: {error}")
        tower = Path(place["file"]) if isinstance(place, Mapping) and place.get("file") else None
    if tower is not None and tower.is_file():
        encoder.attach(load_network(tower))
    else:
        encoder.weights = tower and str(tower)


def file_at(place: Place) -> Path:
    """The file of a part of a restorer.

    Args:
        place: a path; an address, which is downloaded once; or dict(file=…, url=…, sha256=…) with either or both: the
            file is taken where it is there, else the address, and the SHA-256 (or its first digits) is checked.

    Raises:
        ConfigError: another kind of place.
        WeightsError: it cannot be downloaded, or is another file than expected.
    """
    if not isinstance(place, Mapping):
        return _given_file(place)
    check_keys(place, ("file", "url", "sha256"), "the weights of a part")
    file, url, sha256 = (place.get(key) for key in ("file", "url", "sha256"))
    if not file and not url:
        raise ConfigError(f"the weights of a part need file=… or url=…, got {dict(place)}")
    path = Path(file).expanduser() if file else None
    if path is not None and path.is_file():
        check_sha256(path, sha256)
        return path
    if not url:
        assert path is not None
        return path
    try:
        return fetch(url, sha256=sha256)
    except WeightsError as error:
        if path is None:
            raise
        raise WeightsError(f"{error}; or put it at {path}") from error


def fill_network(network: torch.nn.Module, place: Place, purpose: str) -> None:
    """Load every weight of a network from where its file is (see `file_at`), as `fill_from_file`.

    Args:
        network: what is filled.
        place: where the file is.
        purpose: what the network is for, as an error says it.

    Raises:
        WeightsError: the file is missing, cannot be downloaded, or does not fit exactly.
    """
    file = file_at(place)
    fill_from_file(network, file, subject=f"{file} for {purpose}, {type(network).__name__},")


def locate(weights: Weights) -> Path:
    """Find the file of weights on this machine, or download it; see `vrestore.checkpoints.sources.resolve`.

    Raises:
        WeightsError: no source has the file, or it is another file.
    """
    return resolve(weights)


def _resolve(what: Any) -> tuple[Mapping[str, Any] | BaseRestorer, Weights | None, str]:
    """The model (a config or a restorer), its known weights, and what to call it in a message."""
    if isinstance(what, BaseRestorer):
        return what, None, type(what).__name__
    if isinstance(what, Mapping):
        return what.get("model", what), None, "the model config"
    text = os.fspath(what)
    entry = find_entry(text, zoo())
    if entry is not None:
        if entry.network is not None:
            raise RegistryError(f"'{text}' is a network, a part of restorers; load its weight file with load_network")
        model = entry.restorer_config()
        if model is not None:
            return model, entry.weights, f"'{text}'"
        assert entry.weights is not None  # the index was checked
        return model_told_by(locate(entry.weights)), entry.weights, f"'{text}'"
    if text.endswith(WEIGHT_SUFFIXES):
        file = _given_file(text)
        return model_told_by(file), Weights(file=str(file.absolute())), text
    if text.endswith(SUFFIXES) or "/" in text or os.sep in text:
        config = load_config(text)
        if not isinstance(config.get("model"), Mapping):
            raise ConfigError(f"config {text} names no model=dict(type='…', …)")
        return config.model, None, f"config {text}"
    names = [name for name, entry in zoo().items() if not entry.network]
    close = closest_names(text, names)
    raise RegistryError(
        f"no model is called '{text}'; {'closest: ' + ', '.join(close) if close else 'there are: ' + _few(names)} "
        f"('vrestore zoo' lists all of them; a config or weight file is named by its path)"
    )


def _finder(with_weights: bool) -> Callable[[str, bool], tuple[Any, str | None]]:
    """What finds the config of a restorer that a cascade names, and its weight file where it is wanted."""

    def find(name: str, wanted: bool) -> tuple[Any, str | None]:
        model, known, _ = _resolve(name)
        if known is None or not wanted or not with_weights:
            return model, None
        if known.licence:
            tell_terms(name, known.licence, known.source)
        return model, str(locate(known))

    return find


def _lacks_weights(restorer: BaseRestorer, given: Mapping[str, Any], prefix: str = "") -> bool:
    """Whether a restorer, or a restorer within it, has parameters and is given no weights for them."""
    stages = getattr(restorer, "stages", None)
    if stages is not None:
        return any(_lacks_weights(stage, given, f"{prefix}stages.{i}.") for i, stage in enumerate(stages))
    if restorer.may_run_untrained or f"{prefix}backbone" in given or prefix.rstrip(".") in given:
        return False
    return any(True for _ in restorer.parameters())


def _flat_state(file: WeightFiles) -> StateDict:
    given = _given(file)
    return flatten(read_file(given), str(file)) if isinstance(given, Path) else interpolate_weights(given)


def _given(file: WeightFiles) -> Any:
    """A weight file's path, or the paths and shares of several; addresses are downloaded."""
    if isinstance(file, (str, os.PathLike, Mapping)):
        return file_at(file)
    try:
        return [(file_at(path), share) for path, share in file]
    except (TypeError, ValueError):
        raise ConfigError(f"weights must be a file or [(file, share), …], got {file!r}") from None


def _given_file(weights: str | os.PathLike) -> Path:
    text = os.fspath(weights)
    return fetch(text) if text.startswith(("http://", "https://")) else Path(text).expanduser()


def model_told_by(file: Path) -> Mapping[str, Any]:
    """The restorer's config that tools/train.py wrote into a weight file; else that of the network it is recognised by.

    Raises:
        WeightsError: the file cannot be read, or tells no model and is of no known network.
    """
    told: Any = None
    if file.suffix == ".safetensors" and file.is_file():
        try:
            with safe_open(file, framework="pt") as opened:
                told = json.loads((opened.metadata() or {}).get("model", "null"))
        except (SafetensorError, OSError, ValueError):
            told = None
    if told is None:
        content = read_file(file)
        meta = content.get("meta") if isinstance(content, Mapping) else None
        told = meta.get("model") if isinstance(meta, Mapping) else None
    if isinstance(told, Mapping) and "type" in told:
        return told
    try:
        return restorer_of(file)
    except WeightsError as error:
        raise WeightsError(
            f"{file} does not tell which model it belongs to; name the model or a config beside it ({error})"
        ) from error


def _tell_terms_of_part(place: Any, restorer: BaseRestorer, source: str) -> None:
    """Tell the terms of a restorer's network that a config names a file for."""
    file = place.get("file") or place.get("url") if isinstance(place, Mapping) else place
    own = restorer.capabilities.weights_licence
    if not (isinstance(file, (str, os.PathLike)) and tell_terms_of_file(file)) and own:
        tell_terms(source, own)


def _few(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _loss_classes() -> set[type]:
    LOSSES.import_from_location()
    return set(LOSSES.module_dict.values())
