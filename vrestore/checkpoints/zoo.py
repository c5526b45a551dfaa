"""load_restorer: a name of the zoo, a config or a weight file in, a restorer that is ready to restore out."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from vrestore.checkpoints.architectures import identify
from vrestore.checkpoints.download import fetch
from vrestore.checkpoints.files import check_sha256, flatten, network_part, read_file
from vrestore.checkpoints.index import Weights, closest_names, zoo
from vrestore.checkpoints.lora import load_lora, with_own_lora
from vrestore.checkpoints.materialise import as_dtype
from vrestore.checkpoints.network import load_exactly, load_network, network_state
from vrestore.config import SUFFIXES, carried_folder, check_keys, load_config
from vrestore.errors import ConfigError, RegistryError, WeightsError
from vrestore.registry import LOSSES, MODELS
from vrestore.restorers.base import BaseRestorer

logger = logging.getLogger("vrestore")

Place = str | os.PathLike | Mapping[str, Any]  # where a file is, see `file_at`
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".bin")


def load_restorer(
    name_or_config: str | os.PathLike | Mapping[str, Any] | BaseRestorer,
    weights: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
) -> BaseRestorer:
    """A restorer that is ready to restore.

    Args:
        name_or_config: a name of the zoo (`vrestore zoo` lists them), a config file (its `model` is taken), a weight
            file that tells its model (as tools/train.py writes them), a dict, or a restorer.
        weights: a weight file or address instead of the zoo's: a checkpoint of tools/train.py (its averaged weights are
            taken), its export, or an official release.
        device: None is the GPU where there is one, else the CPU.

    Returns:
        The restorer in evaluation mode, on `device`.

    Raises:
        RegistryError: no such name; the closest are named.
        ConfigError: the config names no model, or needs weights and none were given.
        WeightsError: the weights are missing, damaged, cannot be downloaded, or do not fit.
    """
    model, known, source = _resolve(name_or_config)
    restorer = model if isinstance(model, BaseRestorer) else MODELS.build(dict(model))
    if not isinstance(restorer, BaseRestorer):
        raise ConfigError(f"{source} builds a {type(restorer).__name__}, which is no restorer (BaseRestorer)")
    given = {} if isinstance(model, BaseRestorer) else dict(restorer.weight_files)
    if weights is not None:
        load_weights(restorer, _given_file(weights))
        given.pop("backbone", None)
        given.pop("unet", None)
    elif known is not None:
        load_weights(restorer, locate(known))
        if known.licence:
            _tell_licence(str(name_or_config), known)
    elif restorer.may_run_untrained:
        logger.warning("the restorer has random weights, as its config says: what it makes means nothing")
    elif "backbone" not in given and not isinstance(model, BaseRestorer) and any(True for _ in restorer.parameters()):
        if not isinstance(name_or_config, Mapping):
            raise ConfigError(f"{source} needs weights and names none; give a weight file (weights=…, --weights FILE)")
        logger.warning("the restorer has random weights: none were given")
    for part, file in given.items():
        load_part(restorer, part, file)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return restorer.eval().to(device)


def load_weights(restorer: BaseRestorer, file: str | os.PathLike) -> None:
    """Load a weight file into a restorer: every weight that restoring needs, and none of another model.

    Files of whole restorers, of the network alone under our names, and of official releases are served. The state of
    losses is needed for training only and may be absent.

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    state = flatten(read_file(file), str(file))
    own = restorer.state_dict()
    losses = tuple(f"{name}." for name, module in restorer.named_modules() if type(module) in _loss_classes())
    if any(name in own for name in state if not name.startswith(losses)):
        kept = {name: value for name, value in own.items() if name.startswith(losses) and name not in state}
        load_exactly(restorer, {**kept, **state}, f"{file} for {type(restorer).__name__}")
        return
    backbone = getattr(restorer, "backbone", None)
    if not isinstance(backbone, torch.nn.Module):
        raise WeightsError(f"{file} shares no name with the weights of {type(restorer).__name__}")
    network, architecture = network_part(state), None
    if network.keys() != backbone.state_dict().keys():
        architecture, network = identify(network, str(file))
    load_exactly(backbone, network, f"{file} for {type(backbone).__name__}", architecture)


def load_part(restorer: BaseRestorer, part: str, place: Place) -> None:
    """Load the weight file of one part of a restorer, in the precision that the restorer asks for.

    Args:
        restorer: whose part is filled.
        part: its name.
        place: where the file is, see `file_at`.

    A network is filled in place, and told when it is (`BaseRestorer.part_loaded`); the part ``lora`` goes into the
    backbone (`load_lora`); a text encoder, which is none, gets its tower attached. The text tower may be absent:
    the encoder says what to download once a prompt needs it.

    Raises:
        WeightsError: the file cannot be read or does not fit.
    """
    if part == "lora":
        load_lora(restorer.backbone, file_at(place))
        return
    target = getattr(restorer, part)
    if not isinstance(target, torch.nn.Module):
        tower: Path | None
        try:
            tower = file_at(place)
        except WeightsError as error:
            logger.warning(f"the {part} has no weights: {error}")
            tower = Path(place["file"]) if isinstance(place, Mapping) and place.get("file") else None
        if tower is not None and tower.is_file():
            target.attach(load_network(tower))
        else:
            target.weights = tower and str(tower)
        return
    path = file_at(place)
    dtype = as_dtype(restorer.weights_dtype) if part == "backbone" and restorer.weights_dtype else None
    state = network_state(path)
    architecture, own = None, target.state_dict()
    if with_own_lora(state, own).keys() != own.keys():
        architecture, state = identify(state, str(path))
    state = dict(with_own_lora(state, own))
    load_exactly(target, state, f"{path} for the {part}, {type(target).__name__},", architecture, dtype=dtype)
    restorer.part_loaded(part)


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


def locate(weights: Weights) -> Path:
    """The file of known weights on this machine, downloaded where need be, with the right sum.

    Raises:
        WeightsError: it is absent and cannot be had, or is another file.
    """
    if weights.file is not None:
        file = carried_folder("model_zoo") / weights.file
        if not file.is_file():
            raise WeightsError(f"weights {file} are missing from this installation of vrestore; install it again")
        check_sha256(file, weights.sha256)
        return file
    if weights.url is not None:
        return fetch(weights.url, sha256=weights.sha256)
    raise WeightsError("these weights have no address; download them by hand and give the file (--weights FILE)")


def _resolve(what: Any) -> tuple[Mapping[str, Any] | BaseRestorer, Weights | None, str]:
    """The model (a config or a restorer), its known weights, and what to call it in a message."""
    if isinstance(what, BaseRestorer):
        return what, None, type(what).__name__
    if isinstance(what, Mapping):
        return what.get("model", what), None, "the model config"
    text = os.fspath(what)
    entry = zoo().get(text)
    if entry is not None:
        if entry.network is not None:
            raise RegistryError(f"'{text}' is a network, a part of restorers; load its weight file with load_network")
        if entry.model is not None:
            return entry.model, entry.weights, f"'{text}'"
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
        f"no model is called '{text}'; {'closest: ' + ', '.join(close) if close else 'there are: ' + ', '.join(names)} "
        f"('vrestore zoo' lists all of them; a config or weight file is named by its path)"
    )


def _given_file(weights: str | os.PathLike) -> Path:
    text = os.fspath(weights)
    return fetch(text) if text.startswith(("http://", "https://")) else Path(text).expanduser()


def model_told_by(file: Path) -> Mapping[str, Any]:
    """The restorer's config that tools/train.py wrote into a weight file.

    Raises:
        WeightsError: the file cannot be read, or tells no model.
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
    if not isinstance(told, Mapping) or "type" not in told:
        raise WeightsError(f"{file} does not tell which model it belongs to; name the model or a config beside it")
    return told


def _loss_classes() -> set[type]:
    LOSSES.import_from_location()
    return set(LOSSES.module_dict.values())


@cache
def _tell_licence(name: str, weights: Weights) -> None:
    """Say once a process under which terms weights may be used."""
    source = f", by {weights.source}" if weights.source else ""
    logger.info(f"weights of {name}{source}: licence {weights.licence}")
