"""Whether a checkpoint can be gone on from: refusing another model's or another optimiser's before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vrestore.engine.checkpoint import check_fits
from vrestore.engine.several_optimisers import optimiser_parts
from vrestore.errors import ConfigError, WeightsError

INSTEAD = "to begin a new training with its weights, use load_from"


def check_resumable(checkpoint: Mapping[str, Any], model: nn.Module, cfg: Mapping[str, Any], path: str | Path) -> None:
    """Refuse a checkpoint that is none of this training's.

    Args:
        checkpoint: what `load_checkpoint` gave.
        model: the config's, built.
        cfg: the training config.
        path: the checkpoint's file, for the message.

    Raises:
        WeightsError: it holds no state of a run, or is of another model.
        ConfigError: it is of another optimiser, or beyond the config's last iteration.
    """
    meta = checkpoint.get("meta") or {}
    if "optimizer" not in checkpoint or "iter" not in meta:
        raise WeightsError(f"{path} holds weights only, no state of a run; resume from an iter_N.pth, or use load_from")
    was, now = _classes(meta.get("model") or {}), _classes(cfg["model"])
    for part in was:
        if part in now and _plain(was[part]) != _plain(now[part]):
            raise WeightsError(
                f"{path} is of another model: its {part} is {was[part]}, the config's is {now[part]}; {INSTEAD}"
            )
    check_fits(checkpoint["state_dict"], model, path)
    _check_optimiser(checkpoint, cfg["optim_wrapper"], path)
    done, most = meta["iter"], cfg["train_cfg"]["max_iters"]
    if done > most:
        raise ConfigError(f"{path} is at iteration {done}, beyond train_cfg.max_iters={most}; raise it to train on")


def optimiser_kinds(section: Mapping[str, Any]) -> dict[str, str]:
    """The types of a config's optimisers, by the part of the model that each one serves ('' where one serves all)."""
    optimisers = {name: part.get("optimizer") for name, part in optimiser_parts(section).items()}
    return {str(n): _plain(str(o["type"])) for n, o in optimisers.items() if isinstance(o, Mapping) and "type" in o}


def _check_optimiser(checkpoint: Mapping[str, Any], section: Mapping[str, Any], path: str | Path) -> None:
    now = optimiser_kinds(section)
    was = (checkpoint.get("meta") or {}).get("optimizer")
    if was is None:  # an older checkpoint, which tells only whether one optimiser serves all
        one = "param_groups" in checkpoint["optimizer"]
        if now and one != ("" in now):
            raise ConfigError(f"{path} was trained with {'one optimiser' if one else 'several optimisers'}; {INSTEAD}")
        return
    if was != now:
        raise ConfigError(f"{path} was trained with {_told(was)}, the config's optimiser is {_told(now)}; {INSTEAD}")


def _told(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} for {part}" if part else kind for part, kind in kinds.items()) or "none"


def _classes(model: Mapping[str, Any]) -> dict[str, str]:
    """The types of a model and of its direct parts that are networks."""
    parts = {"model": model, **{name: model.get(name) for name in ("backbone", "discriminator")}}
    return {name: str(p["type"]) for name, p in parts.items() if isinstance(p, Mapping) and p.get("type")}


def _plain(name: str) -> str:
    return name.rpartition(".")[2]
