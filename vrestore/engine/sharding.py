"""Sharded training: every process holds a part of each weight, of its gradient and of the optimiser's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn as nn
from mmengine._strategy import FSDPStrategy as MMEngineFSDPStrategy
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, distribute_tensor

from vrestore.errors import ConfigError
from vrestore.registry import STRATEGIES

UNITS = ("ResBlock", "SpatialTransformer", "TemporalTransformer", "Downsample", "Upsample", "VideoControlNet")


@STRATEGIES.register_module(name=["FSDPStrategy", "ShardedStrategy"])
class ShardedStrategy(MMEngineFSDPStrategy):
    """MMEngine's FSDP strategy on torch's second implementation (``fully_shard``), for our Runner.

    The first implementation, which MMEngine's own strategy wraps models in, ends with a segmentation fault over gloo on
    CPUs (torch 2.13) and replaces modules by wrappers; the second runs there too, over gloo as over NCCL, and leaves
    modules and names as they are. Checkpoints hold whole tensors under their plain names: a sharded run is resumed by
    one process and the other way round.

    What our Runner sets up itself (processes, seeds, logs, optimiser, schedules) is not set up again; of MMEngine's
    strategy it calls what wraps the model and what gathers and spreads states.

    Args:
        units: names of the classes whose modules are gathered one at a time, in forward and backward pass.
        whole: parts of the model that are not sharded, by name, such as a frozen autoencoder; those it lacks are
            passed over.
        reshard_after_forward: let go of a unit's weights after its forward pass and gather them again for the backward
            pass: less memory, half as much communication again.
        cpu_offload: keep shards and optimiser in the memory of the CPU.

    Raises:
        ConfigError: from `shard`: no module of the model is a unit.
    """

    def __init__(
        self,
        units: Sequence[str] = UNITS,
        whole: Sequence[str] = ("autoencoder",),
        reshard_after_forward: bool = True,
        cpu_offload: bool = False,
    ):
        # Deliberately not MMEngine's constructor, which sets up processes, folders and logs.
        self.units, self.whole = tuple(units), tuple(whole)
        self.reshard_after_forward, self.cpu_offload = reshard_after_forward, cpu_offload
        self.model: Any = None

    def shard(self, model: nn.Module) -> nn.Module:
        """Shard a model, which lies whole in every process with the same weights, over all processes; in place."""
        self.model = self._wrap_model(model)
        return self.model

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        from torch.distributed.fsdp import CPUOffloadPolicy, fully_shard

        mesh = init_device_mesh(torch.device(get_device()).type, (get_world_size(),))
        parts = [getattr(model, name) for name in self.whole if isinstance(getattr(model, name, None), nn.Module)]
        settings: dict[str, Any] = {"mesh": mesh, "reshard_after_forward": self.reshard_after_forward}
        if self.cpu_offload:
            settings["offload_policy"] = CPUOffloadPolicy()
        ignored = {parameter for part in parts for parameter in part.parameters()}
        inside = {module for part in parts for module in part.modules()}
        chosen = [m for m in model.modules() if type(m).__name__ in self.units and m not in inside]
        if not chosen:
            raise ConfigError(
                f"strategy.units ({', '.join(self.units)}) names no class of modules in {type(model).__name__}"
            )
        for module in reversed(chosen):  # those inside others come first
            fully_shard(module, **settings)
        fully_shard(model, ignored_params=ignored, **settings)
        return model

    def model_state_dict(self) -> dict[str, Tensor]:
        """Whole weights on the CPU of the main process (elsewhere nothing of use); all processes must call it."""
        return gathered(self.model.state_dict())

    def load_model_state_dict(self, state_dict: Mapping[str, Tensor], **_: Any) -> None:  # type: ignore[override]
        """Give every process its part of whole weights; each must hand in all of them."""
        with torch.no_grad():
            for name, own in self.model.state_dict().items():
                own.copy_(spread(state_dict[name], own))


def gathered(value: Any) -> Any:
    """Nested data with whole tensors in place of sharded ones, on the CPU of the main process; elsewhere empty ones."""
    if isinstance(value, DTensor):
        whole = value.full_tensor().detach()
        return whole.cpu() if is_main_process() else whole.new_empty(0, device="cpu")
    if isinstance(value, Mapping):
        return {name: gathered(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(item) for item in value)
    return value.detach() if isinstance(value, Tensor) else value


def spread(whole: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor, sharded as another one is; the tensor itself beside one that is not."""
    if not isinstance(like, DTensor) or whole.shape != like.shape:
        return whole
    whole = whole.to(like.device, like.dtype)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def spread_optimiser_state(state: Mapping[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's whole state, as one process writes it, for an optimiser of sharded parameters."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    entries = {
        number: {key: spread(v, parameters[number]) if isinstance(v, Tensor) else v for key, v in entry.items()}
        for number, entry in state.get("state", {}).items()
    }
    return {**state, "state": entries}
