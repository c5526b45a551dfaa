"""Checking a training config before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mmengine.device import get_device

from vrestore.config import check_keys
from vrestore.engine.hooks import DEFAULT_HOOKS
from vrestore.engine.optim import check_precision
from vrestore.engine.several_optimisers import are_several, optimiser_parts
from vrestore.errors import ConfigError, RegistryError, RequestError
from vrestore.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    STRATEGIES,
    Registry,
)

# What a training config may say; names that begin with an underscore are a config's own helpers.
KNOWN_KEYS = {
    "degradation": "a recipe that came with _base_, for a dataset to refer to",
    "model": "the restorer",
    "train_dataloader": "clips to train on",
    "train_cfg": "max_iters, val_interval",
    "optim_wrapper": "optimiser, precision, accumulation, clipping",
    "param_scheduler": "learning rate over time",
    "val_dataloader": "a benchmark to validate on",
    "val_evaluator": "metrics of the validation",
    "val_cfg": "the validation loop",
    "default_hooks": "log, checkpoints",
    "custom_hooks": "average of the weights, sample images, …",
    "randomness": "seed",
    "work_dir": "where everything is written",
    "resume": "go on from the last checkpoint",
    "load_from": "weights to start from",
    "channels_last": "memory layout of convolutional networks",
    "find_unused_parameters": "of DistributedDataParallel",
    "strategy": "how a model is spread over processes",
    "model_wrapper_cfg": "another wrapper for many processes",
    "sync_bn": "synchronised batch norm",
    "auto_scale_lr": "learning rate from the batch size",
    "activation_checkpointing": "parts that recompute instead of store",
    "compile": "torch.compile",
    "visualizer": "TensorBoard and others",
    "env_cfg": "processes, threads",
    "log_processor": "MMEngine's",
    "log_level": "INFO, DEBUG",
    "launcher": "none, pytorch",
    "default_scope": "vrestore",
    "experiment_name": "name in the log",
    "custom_imports": "files and modules that register a plug-in",
    "data_preprocessor": "of the model",
    "test_dataloader": "read by tools/test.py",
    "test_evaluator": "read by tools/test.py",
    "test_cfg": "read by tools/test.py",
    "methods": "read by tools/test.py",
    "benchmarks": "read by tools/test.py",
    "metrics": "read by tools/test.py",
}
# Beside what is built from their own registries, what PyTorch's DataLoader takes.
LOADER_KEYS = (
    *("dataset", "sampler", "collate_fn", "batch_size", "num_workers", "timeout", "pin_memory", "pin_memory_device"),
    *("drop_last", "prefetch_factor", "persistent_workers", "multiprocessing_context", "in_order"),
)
REQUIRED_KEYS = ("model", "train_dataloader", "train_cfg", "optim_wrapper")


def check_training_config(cfg: Mapping[str, Any]) -> None:
    """Refuse a config that cannot be trained, before anything is built or written.

    Raises:
        ConfigError: an unknown, missing or impossible entry; the message names it and what would be right.
        RegistryError: a type that no registry holds.
    """
    _check_keys(cfg)
    max_iters = whole(cfg["train_cfg"], "max_iters", "train_cfg")
    whole(cfg.get("randomness") or {}, "seed", "randomness", default=0, least=0)
    _check_parts(cfg)
    _check_validation(cfg)
    _check_strategy(cfg)
    _check_steps(cfg, max_iters)


def check_training_size(model: Any, cfg: Mapping[str, Any]) -> None:
    """Refuse a crop that the built model cannot be trained on.

    Raises:
        ConfigError: names the nearest sizes that it can.
    """
    crop = clip_shape(cfg)
    if crop is None or not hasattr(model, "check_training_size"):
        return
    try:
        model.check_training_size(*crop[1:])
    except RequestError as error:
        raise ConfigError(f"train_dataloader.dataset: {error}") from None


def clip_shape(cfg: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """(frames, height, width) of the clean training clips; None where the config does not tell."""
    dataset = cfg["train_dataloader"]["dataset"]
    crop, frames = dataset.get("crop_px", 256), dataset.get("frames", 7)
    if dataset.get("type") != "ClipDataset" and not {"crop_px", "frames"} <= set(dataset):
        return None
    if isinstance(crop, int):
        crop = (crop, crop)
    whole = isinstance(crop, list | tuple) and len(crop) == 2 and all(isinstance(side, int) for side in crop)
    return (frames, *crop) if whole and isinstance(frames, int) else None


def whole(section: Mapping[str, Any], name: str, where: str, default: int | None = None, least: int = 1) -> int:
    """A whole number of a section.

    Raises:
        ConfigError: it is missing, of another type or too small.
    """
    value = section.get(name, default)
    if value is None:
        raise ConfigError(f"{where} needs {name}, a whole number >= {least}")
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{where}.{name} must be a whole number >= {least}, got {value!r}")
    return value


def _check_keys(cfg: Mapping[str, Any]) -> None:
    try:
        check_keys((key for key in cfg if not key.startswith("_")), KNOWN_KEYS, "the training config")
    except ConfigError as error:
        raise ConfigError(f"{error}; helper values of a config begin with '_'") from None
    for key in REQUIRED_KEYS:
        if not isinstance(cfg.get(key), Mapping):
            found = "it is missing" if cfg.get(key) is None else f"got {type(cfg[key]).__name__}"
            raise ConfigError(f"a training config needs {key}=dict(…): {KNOWN_KEYS[key]}; {found}")


def _check_parts(cfg: Mapping[str, Any]) -> None:
    check_type(MODELS, cfg["model"], "model")
    for name in ("train_dataloader", "val_dataloader"):
        loader = cfg.get(name)
        if loader is None:
            continue
        if not isinstance(loader.get("dataset"), Mapping):
            raise ConfigError(f"{name} needs dataset=dict(type='…', …)")
        check_type(DATASETS, loader["dataset"], f"{name}.dataset")
        if loader.get("sampler") is not None:
            check_type(DATA_SAMPLERS, loader["sampler"], f"{name}.sampler", dataset=None, seed=None)
        whole(loader, "batch_size", name, default=1 if name == "val_dataloader" else None)
        whole(loader, "num_workers", name, default=0, least=0)
        check_keys(loader, LOADER_KEYS, name)
        timeout = loader.get("timeout", 0)
        if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
            raise ConfigError(f"{name}.timeout must be a number of seconds >= 0, got {timeout!r}")
    for name, wrapper in optimiser_parts(cfg["optim_wrapper"]).items():
        _check_optimiser(wrapper, f"optim_wrapper.{name}" if name else "optim_wrapper")
    _check_schedules(cfg)
    for name, hook in (cfg.get("default_hooks") or {}).items():
        if hook is not None:
            check_hook(hook, f"default_hooks.{name}", DEFAULT_HOOKS.get(name, {}))
    for i, hook in enumerate(cfg.get("custom_hooks") or []):
        check_hook(hook, f"custom_hooks[{i}]")
    check_type(LOOPS, cfg["train_cfg"], "train_cfg", type="StreamTrainLoop", runner=None, dataloader=None)


def _check_optimiser(wrapper: Mapping[str, Any], where: str) -> None:
    optimizer = wrapper.get("optimizer")
    if optimizer is None and "constructor" not in wrapper:
        raise ConfigError(f"{where} needs optimizer=dict(type='Adam', lr=…)")
    if optimizer is not None:
        check_type(OPTIMIZERS, optimizer, f"{where}.optimizer", params=None)
    own = {key: value for key, value in wrapper.items() if key not in ("constructor", "paramwise_cfg")}
    check_type(OPTIM_WRAPPERS, own, where, type="AutocastOptimWrapper")


def _check_schedules(cfg: Mapping[str, Any]) -> None:
    """The schedules of one optimiser or of all, or, by their names, of each."""
    given, parts = cfg.get("param_scheduler") or [], optimiser_parts(cfg["optim_wrapper"])
    groups = {"param_scheduler": given}
    if isinstance(given, Mapping) and "type" not in given:
        for name in given:
            if name not in parts or not name:
                own = f"there are {', '.join(parts)}" if are_several(cfg["optim_wrapper"]) else "there is one for all"
                raise ConfigError(f"param_scheduler.{name} names no optimiser; {own}")
        for name in parts:
            if name not in given:
                raise ConfigError(f"param_scheduler lacks {name}; give it its own list of schedules, or []")
        groups = {f"param_scheduler.{name}": schedules for name, schedules in given.items()}
    for where, schedules in groups.items():
        for i, scheduler in enumerate(schedules if isinstance(schedules, list | tuple) else [schedules]):
            _check_schedule(scheduler, f"{where}[{i}]", cfg["train_cfg"]["max_iters"])


def _check_schedule(scheduler: Any, where: str, max_iters: int) -> None:
    check_type(PARAM_SCHEDULERS, scheduler, where, optimizer=None)
    if scheduler.get("by_epoch", False):
        raise ConfigError(f"{where}.by_epoch=True is not served: a stream has no epochs; count iterations")
    begin, end = scheduler.get("begin", 0), scheduler.get("end", max_iters)
    if end <= begin < max_iters:
        raise ConfigError(f"{where} ends at {end}, before it begins at {begin}")


def check_hook(cfg: Any, where: str, default: Mapping[str, Any] = MappingProxyType({})) -> None:
    """`check_type` for a hook, whose config may hold its priority."""
    plain = {key: value for key, value in cfg.items() if key != "priority"} if isinstance(cfg, Mapping) else cfg
    check_type(HOOKS, plain, where, **default)


def check_type(registry: Registry, cfg: Any, where: str, **given: Any) -> None:
    """Refuse a part that its registry cannot build; `given` are arguments that the part gets besides its config.

    Raises:
        ConfigError: it is no dict with a type, or has an unknown argument or lacks one.
        RegistryError: the type is unknown.
    """
    if not isinstance(cfg, Mapping):
        raise ConfigError(f"{where} must be a dict(type='Name', …) of {registry.name}, got {cfg!r:.80}")
    try:
        registry.check(cfg, given)
    except (ConfigError, RegistryError) as error:
        raise type(error)(f"{where}: {error}") from None


def _check_validation(cfg: Mapping[str, Any]) -> None:
    loader, evaluator = cfg.get("val_dataloader"), cfg.get("val_evaluator")
    if (loader is None) != (evaluator is None):
        missing = "val_evaluator" if evaluator is None else "val_dataloader"
        raise ConfigError(f"validation needs val_dataloader and val_evaluator; {missing} is missing")
    if evaluator is None:
        return
    for i, metric in enumerate(evaluator if isinstance(evaluator, list | tuple) else [evaluator]):
        check_type(METRICS, metric, f"val_evaluator[{i}]")
    whole(cfg["train_cfg"], "val_interval", "train_cfg", default=1000)


def _check_strategy(cfg: Mapping[str, Any]) -> None:
    if cfg.get("strategy") is None:
        return
    check_type(STRATEGIES, cfg["strategy"], "strategy")
    if are_several(cfg["optim_wrapper"]):
        raise ConfigError(
            "several optimisers are not served with a strategy; leave it out, or train with one optimiser"
        )
    if cfg["optim_wrapper"].get("precision") == "fp16":
        raise ConfigError("fp16 is not served with a strategy: its loss scale would differ among processes; use bf16")
    if cfg.get("val_evaluator") is not None:
        raise ConfigError(
            "validation is not served with a strategy: its processes work on one clip together, and a validation gives "
            "each its own; leave val_dataloader and val_evaluator out, and run vrestore test on the weights"
        )
    for i, hook in enumerate(cfg.get("custom_hooks") or []):
        if str(hook.get("type")).rpartition(".")[2] in ("EMAHook", "StepEMAHook"):
            raise ConfigError(
                f"custom_hooks[{i}]: {hook['type']} copies the whole model, which a sharded one does not allow; use "
                f"dict(type='TrainedEMAHook'), which averages what trains"
            )


def _check_steps(cfg: Mapping[str, Any], max_iters: int) -> None:
    counts = {}
    for name, wrapper in optimiser_parts(cfg["optim_wrapper"]).items():
        check_precision(wrapper.get("precision", "fp32"), get_device())
        where = f"optim_wrapper.{name}" if name else "optim_wrapper"
        counts[name] = whole(wrapper, "accumulative_counts", where, default=1)
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise ConfigError(f"optim_wrapper: all parts must have the same accumulative_counts, got {told}")
    if are_several(cfg["optim_wrapper"]) and cfg.get("model_wrapper_cfg") is not None:
        raise ConfigError(
            "model_wrapper_cfg is not served with several optimisers: they average the gradients themselves"
        )
    count = next(iter(counts.values()))
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    interval = whole(checkpoint, "interval", "default_hooks.checkpoint", default=1000)
    for name, value in (("default_hooks.checkpoint.interval", interval), ("train_cfg.max_iters", max_iters)):
        if value % count:
            below, above = value // count * count, (value // count + 1) * count
            raise ConfigError(
                f"{name}={value} must be a multiple of optim_wrapper.accumulative_counts={count}, or a gradient "
                f"accumulated in part would be lost; {f'{below} or {above}' if below else above} would do"
            )
