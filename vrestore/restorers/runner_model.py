"""RunnerModel: the model interface of MMEngine's Runner, without the imports of `mmengine.model`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vrestore.registry import MODELS


class RunnerModel(nn.Module):
    """A module that MMEngine's Runner can train and test, with the interface of `mmengine.model.BaseModel`.

    `mmengine.model` imports optimisers and sharding, which take as long to import as torch itself, and restoring needs
    neither. `vrestore.engine` registers this class as a virtual subclass of `BaseModel`: once it is imported,
    ``isinstance(model, BaseModel)`` is true.

    Args:
        data_preprocessor: called with every batch before `forward`: a module, or a config of MMEngine's registry
            MODELS. None is `DataPreprocessor`.
        init_cfg: MMEngine's initialisers of the weights, applied by `init_weights`.
    """

    data_preprocessor: nn.Module

    def __init__(self, data_preprocessor: dict | nn.Module | None = None, init_cfg: dict | list[dict] | None = None):
        super().__init__()
        self.init_cfg = init_cfg
        self.is_init = False
        if data_preprocessor is None:
            data_preprocessor = DataPreprocessor()
        elif isinstance(data_preprocessor, dict):
            import mmengine.model  # noqa: F401  (registers MMEngine's preprocessors)

            data_preprocessor = MODELS.build(data_preprocessor)
        if not isinstance(data_preprocessor, nn.Module):
            raise TypeError(f"data_preprocessor must be a dict or an nn.Module, got {type(data_preprocessor).__name__}")
        self.data_preprocessor = data_preprocessor

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """Compute the losses of a batch and update the parameters.

        Args:
            data: a collated batch.
            optim_wrapper: MMEngine's `OptimWrapper`.

        Returns:
            The losses by name, and their sum as ``loss``.
        """
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.data_preprocessor(data, True), mode="loss")
        total, log_vars = self.parse_losses(losses)
        optim_wrapper.update_params(total)
        return log_vars

    def val_step(self, data: Any) -> list:
        """Predictions for a collated batch, one per clip."""
        return self._run_forward(self.data_preprocessor(data, False), mode="predict")

    def test_step(self, data: Any) -> list:
        """Predictions for a collated batch, one per clip."""
        return self.val_step(data)

    def parse_losses(self, losses: Mapping[str, Tensor | Sequence[Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses to minimise.

        Args:
            losses: tensors or lists of tensors by name; tensors are averaged, lists are summed.

        Returns:
            The sum of all values whose name contains 'loss', and all values by name with that sum as ``loss`` first.

        Raises:
            TypeError: a value is neither a tensor nor a list of tensors.
        """
        means: dict[str, Any] = {}
        for name, value in losses.items():
            if isinstance(value, Tensor):
                means[name] = value.mean()
            elif isinstance(value, (list, tuple)) and value and all(isinstance(item, Tensor) for item in value):
                means[name] = sum(item.mean() for item in value)
            else:
                raise TypeError(f"loss '{name}' must be a tensor or a list of tensors, got {type(value).__name__}")
        total: Any = sum(value for name, value in means.items() if "loss" in name)
        return total, {"loss": total, **means}

    def init_weights(self) -> None:
        """Initialise the parameters as `init_cfg` specifies, once; the Runner calls this before training."""
        if self.is_init:
            return
        configs = [self.init_cfg] if isinstance(self.init_cfg, dict) else list(self.init_cfg or [])
        if configs:
            from mmengine.model import initialize

            initialize(self, [config for config in configs if config.get("type") != "Pretrained"])
        for child in self.children():
            initialise: Any = getattr(child, "init_weights", None)
            if initialise is not None and not getattr(child, "is_init", False):
                initialise()
        pretrained = [config for config in configs if config.get("type") == "Pretrained"]
        if pretrained:  # last: it overrides every other initialiser
            initialize(self, pretrained)
        self.is_init = True

    def _run_forward(self, data: Any, mode: str) -> Any:
        if isinstance(data, dict):
            return self(**data, mode=mode)
        if isinstance(data, (list, tuple)):
            return self(*data, mode=mode)
        raise TypeError(f"data_preprocessor must return a dict, a list or a tuple, got {type(data).__name__}")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RunnerModel:
        super()._apply(fn, recurse)
        preprocessor: Any = self.data_preprocessor
        if not isinstance(preprocessor, DataPreprocessor) and hasattr(preprocessor, "device"):
            # MMEngine's own preprocessors store the device in `to`, which nn.Module.to of a parent does not call.
            preprocessor.to(_device_after(fn, preprocessor.device))
        return self


class DataPreprocessor(nn.Module):
    """Copy the tensors of a batch to the device that this module was moved to.

    Attributes:
        device: that device; initially the CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("cpu")

    def forward(self, data: Any, training: bool = False) -> Any:
        """`data` with all tensors in its mappings and sequences on `device`."""
        return self._move(data)

    def _move(self, data: Any) -> Any:
        if isinstance(data, Tensor):
            return data.to(self.device)
        if isinstance(data, Mapping):
            return {key: self._move(value) for key, value in data.items()}
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*(self._move(value) for value in data))
        if isinstance(data, (list, tuple)):
            return type(data)(self._move(value) for value in data)
        return data

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DataPreprocessor:
        super()._apply(fn, recurse)
        self.device = _device_after(fn, self.device)
        return self


def _device_after(fn: Callable[[Tensor], Tensor], device: torch.device) -> torch.device:
    """Device of a tensor on `device` after `fn`, which `nn.Module.to`, `cuda`, `cpu`, … apply to every parameter."""
    return fn(torch.empty(0, device=device)).device
