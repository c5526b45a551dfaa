"""Schedules of the learning rate: built from configs, and put where they belong when a run is resumed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict

from vrestore.engine.checkpoint import to_plain
from vrestore.errors import ConfigError
from vrestore.registry import PARAM_SCHEDULERS

# What moves in one of MMEngine's schedules; the rest is its definition.
PLACE = ("last_step", "_global_step", "_last_value", "verbose")


def build_schedules(
    scheduler: Any, optim_wrapper: OptimWrapper, max_iters: int, warn: Callable[[str], None]
) -> list[Any]:
    """Build the schedules of one optimiser; each ends with the run unless its config says else.

    A schedule that begins after the last iteration is left out, so that a run shortened for a trial keeps its config.

    Raises:
        ConfigError: epochs are counted, or the values do not go together.
    """
    built = []
    for cfg in scheduler if isinstance(scheduler, Sequence) else [scheduler]:
        if isinstance(cfg, dict):
            cfg = {"by_epoch": False, "end": max_iters, **cfg}
            if cfg["by_epoch"]:
                raise ConfigError(f"param_scheduler {cfg['type']}: a stream has no epochs; count iterations")
            if cfg.get("begin", 0) >= max_iters:
                warn(f"{cfg['type']} begins at {cfg['begin']}, after the last iteration: left out")
                continue
            try:
                cfg = PARAM_SCHEDULERS.build(cfg, default_args={"optimizer": optim_wrapper})
            except (ValueError, AssertionError) as error:
                raise ConfigError(f"param_scheduler {cfg['type']}: {error}") from error
        built.append(cfg)
    return built


def flat(schedules: Any) -> list[Any]:
    """The schedules of one optimiser or of several as one list."""
    if isinstance(schedules, dict):
        return [schedule for group in schedules.values() for schedule in group]
    return list(schedules or [])


def are_as_saved(schedules: Sequence[Any], saved: Sequence[dict]) -> bool:
    """Whether the schedules are those that a checkpoint was written under, wherever they stand."""
    return [_definition(to_plain(schedule.state_dict())) for schedule in schedules] == [_definition(s) for s in saved]


def starting_rates(optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[float]:
    """The learning rate of every parameter group before any schedule."""
    return [group.get("initial_lr", group["lr"]) for group in _groups(optim_wrapper)]


def start_over(optim_wrapper: OptimWrapper | OptimWrapperDict, rates: Sequence[float]) -> None:
    """Set the learning rates as they were before any schedule (`starting_rates`)."""
    for group, rate in zip(_groups(optim_wrapper), rates, strict=True):
        group.pop("initial_lr", None)
        group["lr"] = rate


def replay(schedules: Sequence[Any], iterations: int) -> None:
    """Bring freshly built schedules to where they stand after some iterations."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `scheduler.step")
        for _ in range(iterations):
            for schedule in schedules:
                schedule.step()


def _definition(state: dict) -> dict:
    return {name: value for name, value in state.items() if name not in PLACE}


def _groups(optim_wrapper: OptimWrapper | OptimWrapperDict) -> Iterator[dict]:
    parts = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    for part in parts:
        yield from part.param_groups
