"""EMAHook: a running average of the weights, for validation and for shipping."""

from __future__ import annotations

from mmengine.hooks import EMAHook as MMEngineEMAHook
from mmengine.model import is_model_wrapper

from vrestore.registry import HOOKS, MODELS

PREFIX = "module."  # under which averages are stored


@HOOKS.register_module(name=["EMAHook", "StepEMAHook"])
class StepEMAHook(MMEngineEMAHook):
    """MMEngine's EMAHook, averaging once per optimiser step (not per iteration of an accumulated gradient).

    Of a model that names an `averaged_part`, such as a generator, that part alone is averaged.

    Args:
        ema_type: ``ExponentialMovingAverage`` (default), ``MomentumAnnealingEMA`` or ``StochasticWeightAverage``.
        strict_load: refuse a checkpoint whose averaged weights are not exactly the model's.
        momentum: weight of the newest parameters, e.g. 0.001 for a decay of 0.999 (default 0.0002).
        begin_iter: iteration before which the average just follows the weights.
        interval: steps between updates of the average.
        update_buffers: average the buffers as well; else they are copied.
    """

    def __init__(self, ema_type: str = "ExponentialMovingAverage", strict_load: bool = True, **kwargs):
        super().__init__(ema_type, strict_load=strict_load, **kwargs)
        self._prefix = PREFIX

    def before_run(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        part = getattr(model, "averaged_part", "")  # such as the generator, of a model with a discriminator
        self._prefix = f"{PREFIX}{part}." if part else PREFIX
        self.src_model = model.get_submodule(part)
        self.ema_model = MODELS.build(self.ema_cfg, default_args={"model": self.src_model})

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if self.ema_model.steps == 0:  # the copy was made before the weights were initialised or loaded
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """The averages become the weights of the checkpoint; those that train are kept beside them."""
        averages = self.ema_model.state_dict().items()
        checkpoint["ema_state_dict"] = {
            self._prefix + n.removeprefix(PREFIX) if n.startswith(PREFIX) else n: v for n, v in averages
        }
        self._swap_ema_state_dict(checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        kept = checkpoint.get("ema_state_dict")
        if kept is None or not runner._resume:
            inside = self._prefix.removeprefix(PREFIX)
            state = {n.removeprefix(inside): v for n, v in checkpoint["state_dict"].items() if n.startswith(inside)}
            super().after_load_checkpoint(runner, {**checkpoint, "state_dict": state})
            return
        self._swap_ema_state_dict(checkpoint)
        averages = {
            PREFIX + n.removeprefix(self._prefix) if n.startswith(self._prefix) else n: v for n, v in kept.items()
        }
        self.ema_model.load_state_dict(averages, strict=self.strict_load)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if getattr(runner.optim_wrapper, "stepped", True):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
