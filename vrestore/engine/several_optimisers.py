"""Several optimisers in one run, one for each part of the model: their config, and the wrapper around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn as nn
from mmengine.dist import get_world_size
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper

from vrestore.errors import ConfigError
from vrestore.registry import OPTIM_WRAPPER_CONSTRUCTORS
from vrestore.restorers.runner_model import RunnerModel

CONSTRUCTOR = "MultiOptimWrapperConstructor"


def optimiser_parts(optim_wrapper: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The config of each optimiser by the part of the model that it trains; of a single one by ''."""
    if "optimizer" in optim_wrapper:
        return {"": optim_wrapper}
    parts = {k: v for k, v in optim_wrapper.items() if isinstance(v, Mapping) and "optimizer" in v}
    return parts or {"": optim_wrapper}


def are_several(optim_wrapper: Mapping[str, Any]) -> bool:
    return "" not in optimiser_parts(optim_wrapper)


def spelled_out(optim_wrapper: dict[str, Any], precision: str | None = None) -> dict[str, Any]:
    """A config of optimisers with every default written out.

    What stands beside the parts (``precision``, ``accumulative_counts``, ``clip_grad``, …) holds for each that does not
    say otherwise.

    Args:
        optim_wrapper: ``dict(optimizer=…)``, or ``dict(generator=dict(optimizer=…), discriminator=dict(optimizer=…))``.
        precision: in place of the config's.
    """
    forced = {} if precision is None else {"precision": precision}
    if not are_several(optim_wrapper):
        return {"type": "AutocastOptimWrapper", **optim_wrapper, **forced}
    parts = optimiser_parts(optim_wrapper)
    shared = {k: v for k, v in optim_wrapper.items() if k not in parts and k != "constructor"}
    each = {name: {"type": "AutocastOptimWrapper", **shared, **part, **forced} for name, part in parts.items()}
    return {"constructor": optim_wrapper.get("constructor", CONSTRUCTOR), **each}


class OptimWrappers(OptimWrapperDict):
    """MMEngine's dict of optimisers, with what the engine asks of one.

    In several processes each part averages its gradients over them before its step: the model is not wrapped.

    Args:
        parts: wrappers by the name of their part; the first one's steps are the run's.
    """

    def __init__(self, **parts: Any):
        super().__init__(**parts)
        for i, (name, part) in enumerate(parts.items()):
            part.part = name
            part.norm_name = "grad_norm" if i == 0 else f"grad_norm_{name}"
            part.shares_gradients = get_world_size() > 1

    @property
    def stepped(self) -> bool:
        """Whether the first part made a step in this iteration."""
        return next(iter(self.values())).stepped  # type: ignore[attr-defined]

    @property
    def frozen(self) -> list[nn.Parameter]:
        """Parameters that get no update for now, see `AutocastOptimWrapper`."""
        return next(iter(self.values())).frozen  # type: ignore[attr-defined]

    @frozen.setter
    def frozen(self, parameters: list[nn.Parameter]) -> None:
        for part in self.values():
            part.frozen = list(parameters)  # type: ignore[attr-defined]

    def load_state_dict(self, state_dict: dict) -> None:
        if set(state_dict) != set(self.keys()):
            raise ValueError(f"it has the parts {', '.join(state_dict)}, the config has {', '.join(self.keys())}")
        super().load_state_dict(state_dict)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MultiOptimWrapperConstructor:
    """Builds ``dict(generator=dict(optimizer=…), discriminator=dict(optimizer=…))``: each for a part of the model.

    Each part's config is that of a single optimiser, `paramwise_cfg` and `constructor` included.

    Args:
        optim_wrapper_cfg: the configs by the name of the part.
        paramwise_cfg: only None: it belongs to a part.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        if paramwise_cfg:
            raise ConfigError("several optimisers: paramwise_cfg stands in the config of a part")
        self.parts = optimiser_parts(optim_wrapper_cfg)

    def __call__(self, model: Any) -> OptimWrappers:
        model = model.module if is_model_wrapper(model) else model
        check_optimisers(model, self.parts)
        order = getattr(model, "optimised_parts", ()) or tuple(self.parts)
        built: dict[str, OptimWrapper] = {
            name: build_optim_wrapper(getattr(model, name), dict(self.parts[name])) for name in order
        }
        return OptimWrappers(**built)


def check_optimisers(model: Any, optim_wrapper: Mapping[str, Any]) -> None:
    """Refuse optimisers that are not those of the model.

    Raises:
        ConfigError: names what the model needs.
    """
    parts = optimiser_parts(optim_wrapper)
    kind, needed = type(model).__name__, getattr(model, "optimised_parts", ())
    if needed and set(parts) != set(needed):
        told = ", ".join(f"{name}=dict(optimizer=…)" for name in needed)
        found = "it has one for the whole model" if "" in parts else f"it has {', '.join(parts)}"
        raise ConfigError(f"{kind} trains with several optimisers: optim_wrapper=dict({told}); {found}")
    if "" not in parts and type(model).train_step in (BaseModel.train_step, RunnerModel.train_step):
        found = ", ".join(parts)
        raise ConfigError(f"{kind} trains with one optimiser, optim_wrapper=dict(optimizer=…); it has {found}")
    for name in parts:
        if name and name not in needed and not isinstance(getattr(model, name, None), nn.Module):
            own = ", ".join(child for child, _ in model.named_children())
            raise ConfigError(f"optim_wrapper.{name} names no part of {kind}; it has: {own}")
