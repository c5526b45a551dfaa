"""train: one function from a config to trained weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import set_random_seed
from torch.utils.data import DataLoader

import vrestore.data
import vrestore.engine  # noqa: F401  (registers hooks, loops and optimiser wrappers)
from vrestore.checkpoints.zoo import load_part
from vrestore.disk import is_full, why_unwritten
from vrestore.engine.checkpoint import (
    check_fits,
    find_last_checkpoint,
    load_checkpoint,
    load_last_checkpoint,
    load_weights,
)
from vrestore.engine.checks import check_training_config, check_training_size
from vrestore.engine.export import export_lora, export_weights
from vrestore.engine.files import UnwrittenError
from vrestore.engine.loaders import build_dataloader
from vrestore.engine.plan import check_memory
from vrestore.engine.processes import processes
from vrestore.engine.resuming import check_resumable
from vrestore.engine.runner import Runner
from vrestore.engine.several_optimisers import check_optimisers, spelled_out
from vrestore.engine.work_dir import make_work_dir, set_earlier_run_aside
from vrestore.errors import ConfigError, TrainingError, WeightsError
from vrestore.registry import MODELS
from vrestore.restorers.base import BaseRestorer

EXPORT_NAME = "weights.safetensors"
LORA_NAME = "lora.safetensors"


def train(
    cfg: Config | dict,
    *,
    work_dir: str | Path | None = None,
    resume: bool | str | Path = False,
    amp: str | None = None,
    launcher: str = "none",
) -> Runner:
    """Train what a config describes.

    Interrupted and resumed, a run gives the same losses and weights as an uninterrupted one: the data order and every
    sample follow from the number of draws, and the global generators are seeded anew in each iteration from
    (seed, rank, iteration). On CUDA that holds where the operators themselves are deterministic.

    Args:
        cfg: a training config (`vrestore.config.load_config`); it is not changed.
        work_dir: where checkpoints, log, samples and weights go (an earlier run's are moved aside); None takes the
            config's, else ``work_dirs/<config>``.
        resume: True goes on from the last checkpoint of the work dir, or starts anew when it has none; a path names it.
        amp: ``bf16`` or ``fp16`` autocast instead of the config's precision.
        launcher: ``pytorch`` under torchrun, else ``none``.

    Returns:
        The Runner after the last iteration. ``<work_dir>/weights.safetensors`` holds the (averaged) weights.

    Raises:
        ConfigError, RegistryError, DataError: the config cannot be trained.
        WeightsError: the checkpoint is damaged or of another model.
        TrainingError: the training could not go on; the last checkpoint is whole.
        TrainingStopped: a signal asked to stop; a checkpoint was written.
    """
    cfg = prepare_config(cfg, work_dir=work_dir, amp=amp, launcher=launcher)
    check_training_config(cfg)
    with processes(launcher, **cfg.env_cfg.get("dist_cfg", {})), _full_disks_told(cfg.work_dir):
        runner = _build_runner(cfg, resume or cfg.get("resume", False))
        runner.train()
        if is_main_process():
            last = find_last_checkpoint(cfg.work_dir)
            assert last is not None  # the last iteration always writes one
            runner.logger.info(f"weights in {export_weights(last, Path(cfg.work_dir) / EXPORT_NAME)}")
            if (adapters := export_lora(last, Path(cfg.work_dir) / LORA_NAME)) is not None:
                runner.logger.info(f"the LoRA alone in {adapters}")
    return runner


def prepare_config(
    cfg: Config | dict, *, work_dir: str | Path | None = None, amp: str | None = None, launcher: str = "none"
) -> Config:
    """A copy of a training config with every default written out.

    Raises:
        ConfigError: an unknown launcher.
    """
    if launcher not in ("none", "pytorch"):
        raise ConfigError(f"launcher must be 'none' or 'pytorch', got {launcher!r}")
    filename = getattr(cfg, "filename", None)
    plain: dict[str, Any] = copy.deepcopy(cfg.to_dict() if isinstance(cfg, Config) else dict(cfg))
    plain.setdefault("default_scope", "vrestore")
    plain["randomness"] = {"seed": 0, **(plain.get("randomness") or {})}
    plain["env_cfg"] = plain.get("env_cfg") or {}
    plain["launcher"] = launcher
    default_dir = Path("work_dirs") / (Path(filename).stem if filename else "run")
    plain["work_dir"] = str(work_dir or plain.get("work_dir") or default_dir)
    if isinstance(plain.get("optim_wrapper"), dict):
        plain["optim_wrapper"] = spelled_out(plain["optim_wrapper"], precision=amp)
    if isinstance(plain.get("val_dataloader"), dict):
        plain["val_dataloader"].setdefault("batch_size", 1)
        if plain["val_dataloader"].get("sampler") is None:
            plain["val_dataloader"]["sampler"] = {"type": "DefaultSampler", "shuffle": False}
        plain["val_cfg"] = plain.get("val_cfg") or {}
    prepared = TrainingConfig(plain)
    object.__setattr__(prepared, "_filename", filename)  # a plain assignment would become an entry of the config
    return prepared


def _new_runner(cfg: Config, model: torch.nn.Module, resume_was_asked: bool) -> Runner:
    """A Runner that starts from the beginning; an earlier run of the same work dir is kept aside."""
    if cfg.get("load_from"):
        check_fits(load_weights(cfg.load_from, model), model, cfg.load_from)
    data = _data_loaders(cfg)
    make_work_dir(cfg.work_dir)
    aside = set_earlier_run_aside(cfg.work_dir)
    start = Path(cfg.get("load_from") or "")
    if aside is not None and (aside / start.name).is_file() and start.parent.resolve() == Path(cfg.work_dir).resolve():
        cfg.load_from = str(aside / start.name)
    runner = Runner.from_parts(cfg, model, data=data)
    if aside is not None:
        runner.logger.warning(f"an earlier run was here; it is kept in {aside} (to go on with it, give --resume)")
    if resume_was_asked:
        runner.logger.warning(f"{cfg.work_dir} has no checkpoint to resume; the run starts from the beginning")
    return runner


class TrainingConfig(Config):
    """A Config that is final: its text is formatted once, which takes longer than small networks take to train."""

    @property
    def pretty_text(self) -> str:
        if "_formatted" not in self.__dict__:
            object.__setattr__(self, "_formatted", super().pretty_text)
        return self.__dict__["_formatted"]


def _build_runner(cfg: Config, resume: bool | str | Path) -> Runner:
    """The Runner, once it is sure that its model can be built and its checkpoint is the model's."""
    set_random_seed(cfg.randomness.seed)
    model = MODELS.build(cfg.model)
    check_optimisers(model, cfg.optim_wrapper)
    check_training_size(model, cfg)
    if isinstance(model, BaseRestorer):
        model.build_for_training()
    check_memory(model, cfg)
    found = load_last_checkpoint(cfg.work_dir) if resume is True else None
    if isinstance(resume, str | Path):
        found = Path(resume), load_checkpoint(resume), []
    if found is None:
        _load_parts(model, all_of_them=not cfg.get("load_from"))
        return _new_runner(cfg, model, resume_was_asked=bool(resume))
    path, checkpoint, damaged = found
    check_resumable(checkpoint, model, cfg, path)
    _load_parts(model, all_of_them=False)
    data = _data_loaders(cfg)
    make_work_dir(cfg.work_dir)
    runner = Runner.from_parts(cfg, model, checkpoint, data=data)
    for sentence in damaged:
        runner.logger.warning(f"{sentence}; the run goes on from the one before, {path}")
    return runner


def _data_loaders(cfg: Config) -> dict[str, DataLoader]:
    """The data loaders of a config, built before the work dir is touched, so that a fault of theirs leaves it as it is.

    Raises:
        ConfigError, RegistryError: a recipe or another argument is impossible.
        DataError: there are no clips, or they do not serve.
    """
    given = {name: cfg.get(name) for name in ("train_dataloader", "val_dataloader")}
    plain = {name: loader.to_dict() for name, loader in given.items() if loader is not None}
    return {name: build_dataloader(loader, cfg.randomness.seed, name) for name, loader in plain.items()}


@contextmanager
def _full_disks_told(work_dir: str | Path) -> Iterator[None]:
    """One sentence where there is no room for a file that others write: a log, curves, a copy of the config.

    Raises:
        TrainingError: says what there is no room for.
    """
    cause: Exception
    try:
        yield
    except UnwrittenError as error:
        told, cause = str(error), error
    except OSError as error:
        if not is_full(error):
            raise
        told, cause = why_unwritten(error, error.filename or work_dir), error
    else:
        return
    last = find_last_checkpoint(work_dir)
    state = f"the last checkpoint is {last}: --resume goes on from it" if last else "no checkpoint was written yet"
    raise TrainingError(f"{told}; {state}") from cause


def _load_parts(model: torch.nn.Module, all_of_them: bool) -> None:
    """Load the weights of a model's parts; all of them, or only those that a checkpoint does not hold.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    if not isinstance(model, BaseRestorer):
        return
    for part, place in model.weight_files.items():
        owner, _, name = part.rpartition(".")
        in_checkpoint = name == "lora" or isinstance(getattr(model.get_submodule(owner), name), torch.nn.Module)
        if all_of_them or not in_checkpoint:
            load_part(model, part, place)
    for name, module in model.named_modules():
        if any(p.is_meta for p in module.parameters(recurse=False)):
            if all_of_them:
                raise WeightsError(f"'{name}' has no weights: defer_weights=True needs model.weights to train on")
            module.to_empty(device="cpu", recurse=False)  # filled from the checkpoint
