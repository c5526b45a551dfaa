"""LossSpikeHook: a run whose loss leaps up and stays up ends with the names of the clips, and its last checkpoint."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from torch.distributed import all_gather_object

from vrestore.engine.checkpoint import HISTORY_STEPS
from vrestore.errors import ConfigError, TrainingError
from vrestore.registry import HOOKS


@HOOKS.register_module()
class LossSpikeHook(Hook):
    """Stops when the loss is `factor` times the median of the `window` iterations before, `patience` times in a row.

    A loss that has been as high within the window is none that leapt: where most clips are nearly black, say, those
    that are not stand out by far and do no harm.

    Judged from the log's history, which checkpoints hold, so that a resumed run stops where an uninterrupted one does.
    The checkpoint of that iteration is not written. It is there by default; ``default_hooks=dict(spike=None)`` does
    without it.

    Args:
        factor: times the median, > 1. Losses at drawn noise levels scatter by a few times by themselves.
        window: iterations that the median is taken over, 2 to 1000 - `patience`; none is stopped before there are so
            many.
        patience: iterations in a row that must exceed it.
        names: the losses to judge by, of which the first that a training has is taken; one with several optimisers has
            no single `loss`, and its adversarial losses leap by nature.
    """

    priority = "LOW"  # after the history is written, before checkpoints are

    def __init__(
        self,
        factor: float = 10.0,
        window: int = 100,
        patience: int = 3,
        names: Sequence[str] = ("loss", "loss_pixel", "loss_pix"),
    ):
        if not factor > 1:
            raise ConfigError(f"LossSpikeHook: factor must be above 1, got {factor!r}")
        if not isinstance(patience, int) or patience < 1:
            raise ConfigError(f"LossSpikeHook: patience must be a whole number >= 1, got {patience!r}")
        if not isinstance(window, int) or not 2 <= window <= HISTORY_STEPS - patience:
            raise ConfigError(f"LossSpikeHook: window must be from 2 to {HISTORY_STEPS - patience}, got {window!r}")
        self.factor, self.window, self.patience, self.names = factor, window, patience, tuple(names)
        self._clips: list[list[str]] = []

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        names = [str(name) for name in (data_batch or {}).get("clip") or ["unnamed"]]
        self._clips = [*self._clips[-self.patience + 1 :], names] if self.patience > 1 else [names]

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        name = next((name for name in self.names if name in (outputs or {})), None)
        if name is None:
            return
        history = runner.message_hub.get_scalar(f"train/{name}").data[0]
        recent, before = history[-self.patience :], history[-self.patience - self.window : -self.patience]
        if len(before) < self.window:
            return
        usual = statistics.median(float(loss) for loss in before)
        high = max(self.factor * usual, max(float(loss) for loss in before))
        if usual <= 0 or not all(float(loss) > high for loss in recent):
            return
        everywhere: list = [self._clips] * get_world_size()
        if get_world_size() > 1:
            all_gather_object(everywhere, self._clips)
        names = sorted({name for clips in everywhere for batch in clips for name in batch})
        raise TrainingError(
            f"the {name} leapt to {float(recent[-1]):.4g} at iteration {batch_idx + 1}, "
            f"{float(recent[-1]) / usual:.1f} times its median of the {self.window} before, in batches of the clips "
            f"{', '.join(names)}; {runner.describe_last_checkpoint()}"
        )
