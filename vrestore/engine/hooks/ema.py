"""EMAHook: a running average of the weights, for validation and for shipping."""

from __future__ import annotations

from mmengine.hooks import EMAHook as MMEngineEMAHook

from vrestore.registry import HOOKS


@HOOKS.register_module(name=["EMAHook", "StepEMAHook"])
class StepEMAHook(MMEngineEMAHook):
    """MMEngine's EMAHook, averaging once per optimiser step (not per iteration of an accumulated gradient).

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

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if self.ema_model.steps == 0:  # the copy was made before the weights were initialised or loaded
            self.ema_model.module.load_state_dict(self.src_model.state_dict())

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if getattr(runner.optim_wrapper, "stepped", True):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
