"""LogHook: a line on the console and in ``log.jsonl`` every few iterations, and the curves of TensorBoard."""

from __future__ import annotations

import json
import math
import time
from datetime import timedelta
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict

from vrestore.engine.checkpoint import HISTORY_STEPS
from vrestore.engine.damage import DAMAGED_CLIPS
from vrestore.engine.files import append_line, write_text
from vrestore.errors import ConfigError
from vrestore.registry import HOOKS

LOG_NAME = "log.jsonl"


@HOOKS.register_module()
class LogHook(Hook):
    """Logs the mean losses since the last line, the learning rate, the speed and the time left; and every validation.

    ``<work_dir>/log.jsonl`` holds one JSON object a line: ``{"mode": "train", "iter": 50, "loss": …, "grad_norm": …,
    "lr": …, "seconds_per_iter": …, "data_seconds_per_iter": …}`` or ``{"mode": "val", "iter": 500, "<metric>": …}``.
    A resumed run first drops the lines after its checkpoint, so that the file tells one story.

    Args:
        interval: iterations between lines, 1 to 1000.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, interval: int = 50):
        if not isinstance(interval, int) or not 1 <= interval <= HISTORY_STEPS:
            raise ConfigError(f"LogHook: interval must be a whole number from 1 to {HISTORY_STEPS}, got {interval!r}")
        self.interval = interval
        self._iters = 0
        self._data_seconds = 0.0
        self._started = self._line_started = 0.0
        self._val_seconds = 0.0

    def before_train(self, runner) -> None:
        self._path = Path(runner.work_dir) / LOG_NAME
        if is_main_process():
            drop_lines_after(self._path, runner.iter)
        self._first_iter, self._started = runner.iter, time.perf_counter()
        self._line_started = self._started

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._iters += 1
        self._data_seconds += runner.train_loop.fetch_seconds
        done = batch_idx + 1
        if done % self.interval and done != runner.max_iters:
            return
        now = time.perf_counter()
        losses = {name: self._mean(runner, name, done) for name in outputs or {}}
        row = {
            "mode": "train",
            "iter": done,
            **losses,
            **_gradient_norm(runner),
            **learning_rates(runner),
            **damaged_windows(runner),
            "seconds_per_iter": round((now - self._line_started) / self._iters, 4),
            "data_seconds_per_iter": round(self._data_seconds / self._iters, 4),
        }
        self._write(runner, row)
        self._print_train(runner, row, losses, now)
        self._iters, self._data_seconds, self._line_started = 0, 0.0, now

    def before_val_epoch(self, runner) -> None:
        self._val_started = time.perf_counter()

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        seconds = time.perf_counter() - self._val_started
        self._line_started += seconds  # validation is not part of an iteration's time
        if not metrics:
            return
        self._write(runner, {"mode": "val", "iter": runner.iter, **metrics, "seconds": round(seconds, 2)})
        scores = "  ".join(f"{name}: {value:.4f}" for name, value in metrics.items() if isinstance(value, int | float))
        runner.logger.info(f"val    {runner.iter}/{runner.max_iters}  {scores}  ({seconds:.1f} s)")

    def after_run(self, runner) -> None:
        runner.visualizer.close()

    def _mean(self, runner, name: str, done: int) -> float:
        """Mean over the iterations since the last line; checkpoints hold the history, so a resume changes nothing."""
        since = done % self.interval or self.interval
        return float(runner.message_hub.get_scalar(f"train/{name}").mean(since))

    def _write(self, runner, row: dict) -> None:
        if is_main_process():
            append_line(self._path, json.dumps({k: _finite_or_text(v) for k, v in row.items()}))
        curves = {f"{row['mode']}/{k}": v for k, v in row.items() if isinstance(v, int | float) and k != "iter"}
        runner.visualizer.add_scalars(curves, step=row["iter"])

    def _print_train(self, runner, row: dict, losses: dict[str, float], now: float) -> None:
        done, most = row["iter"], runner.max_iters
        spent = now - self._started
        left = timedelta(seconds=round(spent / max(done - self._first_iter, 1) * (most - done)))
        names = "  ".join(f"{name}: {value:.5f}" for name, value in losses.items())
        runner.logger.info(
            f"train  {done:>{len(str(most))}}/{most}  {names}  lr: {row['lr']:.3e}  "
            f"{row['seconds_per_iter']:.3f} s/iter (data {row['data_seconds_per_iter']:.3f})  eta: {left}"
        )


def _gradient_norm(runner) -> dict[str, float]:
    """Norm of the last step's gradient before clipping, of each optimiser; nothing before the first step."""
    norms = {name: h for name, h in runner.message_hub.log_scalars.items() if name.startswith("train/grad_norm")}
    return {name.removeprefix("train/"): float(history.current()) for name, history in sorted(norms.items())}


def damaged_windows(runner) -> dict[str, int]:
    """How many windows of damaged clips were drawn anew so far; nothing where none was."""
    counts = runner.message_hub.runtime_info.get(DAMAGED_CLIPS)
    return {"damaged_windows": sum(counts.values())} if counts else {}


def learning_rates(runner) -> dict[str, float]:
    """The base learning rate as ``lr``; parameter groups of other rates as ``lr_<i>``.

    Of several optimisers that is the first; the others' rates are ``lr_<part>`` and ``lr_<part>_<i>``.
    """
    wrapper = runner.optim_wrapper
    if not isinstance(wrapper, OptimWrapperDict):
        return _rates(wrapper, "lr")
    rates: dict[str, float] = {}
    for name, part in wrapper.items():
        rates |= _rates(part, f"lr_{name}" if rates else "lr")
    return rates


def _rates(wrapper: OptimWrapper, title: str) -> dict[str, float]:
    rates = wrapper.get_lr()
    groups = [rate for name, values in rates.items() if name.endswith("lr") and name != "base_lr" for rate in values]
    base = rates["base_lr"][0] if "base_lr" in rates else groups[0]
    others = sorted({rate for rate in groups if rate != base}, reverse=True)
    return {title: base, **{f"{title}_{i}": rate for i, rate in enumerate(others, 1)}}


def drop_lines_after(path: Path, iteration: int) -> None:
    """Keep what an uninterrupted run would have logged when it reached `iteration`, before its validation there."""
    if not path.exists():
        return
    if iteration == 0:
        path.unlink()
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:  # a line that a killed process did not finish
            continue
        if row["iter"] < iteration or (row["iter"] == iteration and row["mode"] == "train"):
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def _finite_or_text(value):
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
