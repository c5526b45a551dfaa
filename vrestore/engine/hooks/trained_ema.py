"""TrainedEMAHook: a running average of the weights that train, and of no others."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from vrestore.engine.sharding import gathered, spread
from vrestore.errors import ConfigError
from vrestore.registry import HOOKS

PREFIX = "module."  # as MMEngine's averages are stored, so that either kind of checkpoint is understood


@HOOKS.register_module()
class TrainedEMAHook(Hook):
    """Averages trained parameters once an optimiser step; validated, exported and saved as the model's weights.

    What is frozen is not copied, and sharded parameters are averaged shard by shard: beside `EMAHook`, which copies the
    whole model, this is for large models of which a part trains.

    Args:
        momentum: weight of the newest parameters, in (0, 1]; 0.0001 is a decay of 0.9999.
        begin_iter: iteration before which the average just follows the weights.
    """

    priority = "NORMAL"

    def __init__(self, momentum: float = 0.0002, begin_iter: int = 0):
        if not 0 < momentum <= 1:
            raise ConfigError(f"TrainedEMAHook: momentum must lie in (0, 1], got {momentum!r}")
        self.momentum, self.begin_iter = momentum, begin_iter
        self.average: dict[str, Tensor] = {}
        self._resumed: dict[str, Tensor] = {}

    def before_train(self, runner) -> None:
        part = getattr(_model(runner), "averaged_part", "")
        inside = f"{part}." if part else ""
        trained = {n: p for n, p in _model(runner).named_parameters() if p.requires_grad and n.startswith(inside)}
        self.average = {name: p.detach().clone() for name, p in trained.items()}
        for name, whole in self._resumed.items():
            if name in self.average:
                self.average[name].copy_(spread(whole, self.average[name]))
        self._resumed = {}

    @torch.no_grad()
    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not getattr(runner.optim_wrapper, "stepped", True):
            return
        momentum = self.momentum if batch_idx + 1 > self.begin_iter else 1.0
        parameters = dict(_model(runner).named_parameters())
        for name, average in self.average.items():
            average.lerp_(parameters[name].detach(), momentum)

    def before_val_epoch(self, runner) -> None:
        self._swap(runner)

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._swap(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """The averages become the weights of the checkpoint; those that train are kept beside them."""
        state, averages = checkpoint["state_dict"], gathered(self.average)
        checkpoint["ema_state_dict"] = {f"{PREFIX}{name}": state[name] for name in averages}
        state.update(averages)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        kept = checkpoint.get("ema_state_dict")
        if kept is None or not runner._resume:
            return
        state = checkpoint["state_dict"]
        self._resumed = {name: value for name, value in state.items() if f"{PREFIX}{name}" in kept}
        checkpoint["state_dict"] = {name: kept.get(f"{PREFIX}{name}", value) for name, value in state.items()}

    @torch.no_grad()
    def _swap(self, runner) -> None:
        parameters = dict(_model(runner).named_parameters())
        for name, average in self.average.items():
            now = parameters[name].detach().clone()
            parameters[name].copy_(average)
            average.copy_(now)


def _model(runner) -> torch.nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
