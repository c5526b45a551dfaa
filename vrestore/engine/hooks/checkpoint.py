"""SafeCheckpointHook: checkpoints at intervals, of which the newest and the best are kept."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from vrestore.engine.checkpoint import checkpoints_in, point_to
from vrestore.engine.files import remove_leftovers
from vrestore.errors import ConfigError
from vrestore.registry import HOOKS


@HOOKS.register_module(name=["SafeCheckpointHook", "CheckpointHook"])
class SafeCheckpointHook(Hook):
    """Writes ``iter_N.pth`` every `interval` iterations and after the last, whole or not at all, then drops old ones.

    An older checkpoint is removed only when its successor is on the disk and `last_checkpoint` names it.

    Args:
        interval: iterations between checkpoints; a multiple of the gradient accumulation.
        max_keep_ckpts: how many of the newest to keep in the work dir, >= 1; earlier ones are deleted.
        save_best: name of the validation score whose best checkpoint is kept as ``best_<score>_iter_N.pth``; ``'auto'``
            takes the first metric of `val_evaluator`; None keeps none.
        rule: ``'greater'`` or ``'less'``; None asks the metric itself.
        by_epoch: only False: a stream has no epochs.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = 1000,
        max_keep_ckpts: int = 2,
        save_best: str | None = None,
        rule: str | None = None,
        by_epoch: bool = False,
    ):
        for name, value in (("interval", interval), ("max_keep_ckpts", max_keep_ckpts)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"SafeCheckpointHook: {name} must be a whole number >= 1, got {value!r}")
        if by_epoch:
            raise ConfigError("SafeCheckpointHook counts iterations: by_epoch=True is not served")
        if rule not in (None, "greater", "less"):
            raise ConfigError(f"SafeCheckpointHook: rule must be 'greater', 'less' or None, got {rule!r}")
        self.interval, self.max_keep_ckpts = interval, max_keep_ckpts
        self.save_best, self.rule = save_best, rule
        self._last_saved: int | None = None
        self._best: dict | None = None

    def before_train(self, runner) -> None:
        if is_main_process():
            remove_leftovers(runner.work_dir)
            for folder in Path(runner.work_dir).glob("samples/*/"):
                remove_leftovers(folder)
        self._best = runner.message_hub.runtime_info.get("best_checkpoint")
        if self._best is not None and not (Path(runner.work_dir) / self._best["file"]).is_file():
            self._best = None  # a run that was cut later had found a better one
        self._check_best(runner)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        done = batch_idx + 1
        if done % self.interval == 0 or done == runner.max_iters:
            self.save(runner, done)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        if self.save_best is None or not metrics:
            return
        name = next(iter(metrics)) if self.save_best == "auto" else self.save_best
        if name not in metrics:
            runner.logger.warning(f"save_best: this validation has no {name}, only {', '.join(metrics)}")
            return
        score = metrics[name]
        if self._best is not None and self._best["name"] == name and not self._is_better(runner, name, score):
            return
        stem = f"best_{name.replace('/', '_')}"
        file = f"{stem}_iter_{runner.iter}.pth"
        self._best = {"name": name, "score": float(score), "iter": runner.iter, "file": file}
        runner.message_hub.update_info("best_checkpoint", dict(self._best))
        runner.save_checkpoint(runner.work_dir, file, save_optimizer=False, done=runner.iter)
        runner.logger.info(f"best {name} so far: {score:.4f}, kept as {file}")
        if is_main_process():
            for other in Path(runner.work_dir).glob(f"{stem}_iter_*.pth"):
                if other.name != file:
                    _remove(other)

    def save(self, runner, done: int) -> Path:
        """Write the checkpoint after `done` iterations, unless it is there already.

        Raises:
            TrainingError: it could not be written; the one before is untouched and still the last.
        """
        path = Path(runner.work_dir) / f"iter_{done}.pth"
        if self._last_saved == done:
            return path
        runner.save_checkpoint(path.parent, path.name, done=done)
        self._last_saved = done
        if is_main_process():
            point_to(path)
            earlier = [n for n in checkpoints_in(path.parent) if n < done]
            for number in earlier[: len(earlier) - self.max_keep_ckpts + 1]:
                _remove(path.with_name(f"iter_{number}.pth"))
        runner.logger.info(f"saved {path}")
        return path

    def _check_best(self, runner) -> None:
        """Refuse, before the first iteration, a score that no metric gives."""
        if self.save_best in (None, "auto") or runner.val_loop is None:
            return
        metrics = runner.val_evaluator.metrics
        names = [str(metric.name) for metric in metrics if hasattr(metric, "name")]
        if self.save_best not in names and len(names) == len(metrics):
            raise ConfigError(f"save_best='{self.save_best}' is no score of val_evaluator; it has: {', '.join(names)}")
        if self.rule is None:
            runner.higher_is_better(self.save_best)

    def _is_better(self, runner, name: str, score: float) -> bool:
        assert self._best is not None
        greater = self.rule == "greater" if self.rule else runner.higher_is_better(name)
        return score > self._best["score"] if greater else score < self._best["score"]


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
