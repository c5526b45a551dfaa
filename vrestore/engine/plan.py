"""What a training step takes in each process, told before it starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn as nn
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process

from vrestore.engine.checks import clip_shape
from vrestore.engine.optim import DTYPES
from vrestore.engine.several_optimisers import optimiser_parts
from vrestore.engine.sharding import UNITS
from vrestore.memory import GIB, free_memory_bytes
from vrestore.restorers.base import BaseRestorer

logger = logging.getLogger("vrestore")

# Numbers that an optimiser keeps for each trained one; of others two are assumed.
OPTIMISER_STATES = {"SGD": 0, "Adam": 2, "AdamW": 2, "NAdam": 2, "RAdam": 2, "RMSprop": 1, "Adagrad": 1, "Adadelta": 2}
FLOAT = 4


@dataclass(frozen=True)
class StepMemory:
    """What a training step takes in one process, in bytes.

    Attributes:
        weights, gradients, optimiser, average: of what this process holds; divided by the shards where they are shared.
        gathered: whole weights of the units that a sharded model has in memory at one time.
        stages: the tensors of the step, by stage; one comes after the other.
    """

    weights: int
    gradients: int
    optimiser: int
    average: int
    gathered: int
    stages: Mapping[str, int]

    @property
    def total(self) -> int:
        held = self.weights + self.gradients + self.optimiser + self.average + self.gathered
        return held + max(self.stages.values(), default=0)

    def __str__(self) -> str:
        widest = max(self.stages, key=lambda name: self.stages[name], default="")
        parts = {
            "weights": self.weights,
            "gradients": self.gradients,
            "optimiser": self.optimiser,
            "average": self.average,
            "gathered units": self.gathered,
            widest: self.stages.get(widest, 0),
        }
        told = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items() if size)
        return f"about {self.total / GIB:.1f} GiB a process ({told})"


def check_memory(model: nn.Module, cfg: Mapping[str, Any]) -> StepMemory | None:
    """Tell what a step will take, and warn where the device has less; None where that is little or not known.

    The main process foresees it for all.
    """
    if not is_main_process():
        return None
    shards = get_world_size() if cfg.get("strategy") and cfg.get("launcher", "none") != "none" else 1
    need = step_memory(model, cfg, shards)
    if need is None:
        return None
    logger.info(f"a training step takes {need}")
    free = free_memory_bytes(get_device())
    if free is not None and need.total > free:
        logger.warning(
            f"a training step takes {need}, and {free / GIB:.1f} GiB are free: it will probably run out of memory. "
            f"To need less: model.backbone.gradient_checkpointing=True, a smaller crop_px, fewer frames, batch_size=1 "
            f"with optim_wrapper.accumulative_counts, --amp bf16, model.lora=dict(rank=8), or more processes with "
            f"strategy=dict(type='FSDPStrategy')"
        )
    return need


def step_memory(model: nn.Module, cfg: Mapping[str, Any], shards: int = 1) -> StepMemory | None:
    """Foresee a training step; nothing is computed.

    Args:
        model: as it will train; one without memory will do.
        cfg: the training config.
        shards: processes that the weights are divided among.

    Returns:
        None where the model does not tell, or the config does not tell the size of the clips.
    """
    shape = clip_shape(cfg)
    if shape is None or not isinstance(model, BaseRestorer):
        return None
    wrapper = next(iter(optimiser_parts(cfg["optim_wrapper"]).values()))
    stages = model.training_need(
        cfg["train_dataloader"]["batch_size"], *shape, DTYPES[wrapper.get("precision", "fp32")]
    )
    if stages is None:
        return None
    strategy = cfg.get("strategy") or {}
    whole = [getattr(model, name, None) for name in strategy.get("whole", ("autoencoder",))] if shards > 1 else []
    kept = {id(p) for part in whole if isinstance(part, nn.Module) for p in part.parameters()}
    trained = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
    weights = sum(p.nbytes for p in model.parameters() if id(p) not in kept)
    unsharded = sum(p.nbytes for p in model.parameters() if id(p) in kept)
    states = OPTIMISER_STATES.get(str((wrapper.get("optimizer") or {}).get("type")), 2)
    return StepMemory(
        weights=weights // shards + unsharded,
        gradients=trained // shards,
        optimiser=states * numbers * FLOAT // shards,
        average=_averaged(cfg, trained, weights + unsharded) // shards,
        gathered=_gathered(model, strategy) if shards > 1 else 0,
        stages=stages,
    )


def _averaged(cfg: Mapping[str, Any], trained: int, all_weights: int) -> int:
    kinds = [str(hook.get("type")) for hook in cfg.get("custom_hooks") or [] if isinstance(hook, Mapping)]
    if any("TrainedEMAHook" in kind for kind in kinds):
        return trained
    return all_weights if any("EMAHook" in kind for kind in kinds) else 0


def _gathered(model: nn.Module, strategy: Mapping[str, Any]) -> int:
    """The largest unit and the one fetched ahead, its gradient before it is divided, and what belongs to no unit."""
    units = [m for m in model.modules() if type(m).__name__ in tuple(strategy.get("units", UNITS))]
    own = {unit: _own_bytes(unit, units) for unit in units}
    if not strategy.get("reshard_after_forward", True):
        return sum(own.values())
    inside = {id(p) for unit in units for p in unit.parameters()}
    inside |= {id(p) for name in strategy.get("whole", ("autoencoder",)) for p in _parameters(model, name)}
    rest = sum(p.nbytes for p in model.parameters() if id(p) not in inside)
    return 3 * max(own.values(), default=0) + rest


def _own_bytes(unit: nn.Module, units: list[nn.Module]) -> int:
    nested = {id(p) for other in units if other is not unit and _holds(unit, other) for p in other.parameters()}
    return sum(p.nbytes for p in unit.parameters() if id(p) not in nested)


def _holds(outer: nn.Module, inner: nn.Module) -> bool:
    return any(module is inner for module in outer.modules())


def _parameters(model: nn.Module, name: str) -> list[torch.nn.Parameter]:
    part = getattr(model, name, None)
    return list(part.parameters()) if isinstance(part, nn.Module) else []
