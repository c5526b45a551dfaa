"""The loops of a run: training on an endless stream that can start anywhere, and validation clip by clip."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed
from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from vrestore.data.clips import some
from vrestore.engine.damage import Damage, damage_of, everywhere
from vrestore.engine.loaders import batches_in_work, end_workers
from vrestore.engine.optim import NonFiniteError
from vrestore.errors import ConfigError, DataError, MediaError, TrainingError, VRestoreError
from vrestore.registry import LOOPS


@LOOPS.register_module()
class StreamTrainLoop(BaseLoop):
    """Trains for `max_iters` iterations on a stream of draws, and resumes exactly.

    Nothing is replayed: the sampler is told how many draws were consumed, and all other randomness of an iteration is
    seeded anew from (seed, rank, iteration) before its batch is fetched. An iteration thus never depends on how the run
    got there.

    Args:
        runner: the Runner.
        dataloader: config of the training data loader; its sampler must offer ``set_start(draws_consumed_in_total)``.
        max_iters: iterations of the whole run; with gradient accumulation each one is a part of a step.
        val_interval: iterations between validations; one more follows the last iteration.
        val_begin: first iteration after which a validation may happen.

    Raises:
        ConfigError: the sampler cannot start anywhere.
        TrainingError: a loss or gradient that is not a number; the data loader failed.
        TrainingStopped: a signal asked to stop; a checkpoint was written.
    """

    def __init__(
        self, runner, dataloader: dict | DataLoader, max_iters: int, val_interval: int = 1000, val_begin: int = 1
    ):
        super().__init__(runner, dataloader)
        if not hasattr(self.dataloader.sampler, "set_start"):
            raise ConfigError(
                f"train_dataloader's sampler {type(self.dataloader.sampler).__name__} offers no set_start(draws), "
                f"without which a run cannot be resumed; use dict(type='StreamSampler')"
            )
        self.max_iters, self.max_epochs = max_iters, 1
        self.val_interval, self.val_begin = val_interval, val_begin
        self.iter = self.epoch = 0  # iterations done; the whole run counts as one epoch
        self.draws = 0  # consumed by all processes together, over the whole run
        self.stop_training = False  # set by MMEngine's EarlyStoppingHook
        self.fetch_seconds = 0.0  # that the last iteration waited for its data
        self.damage: Damage = []  # windows of damaged clips that were drawn anew for the last iteration's batches
        self._clips: list[list[str]] = []  # of each iteration since the last step
        self._batches: Iterator = iter(())
        self._first_draw = 0  # of those that the running data loader makes

    def run(self) -> torch.nn.Module:
        try:
            return self._run()
        except BaseException as error:
            # PyTorch tells of a killed data worker by a signal, wherever this process happens to be.
            of_workers = isinstance(error, RuntimeError) and "DataLoader worker" in str(error)
            told = self._explain_data(error) if of_workers and not isinstance(error, VRestoreError) else None
            end_workers(self._batches)
            if told is None:
                raise
            raise TrainingError(told) from error
        finally:
            self._batches = iter(())

    def _run(self) -> torch.nn.Module:
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if self.iter > 0:
            # A checkpoint is written before the validation of its iteration, and so knows nothing of its result.
            self._validate_if_due()
        self.dataloader.sampler.set_start(self.draws)
        # Starting a data loader draws from the global generator, hence before an iteration's seed.
        self._first_draw = self.draws
        self._batches = iter(self.dataloader) if self.iter < self.max_iters else iter(())
        while self.iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            seed_iteration(self.runner.seed, get_rank(), self.iter)
            self.run_iter(self._fetch(self._batches))
            self._validate_if_due()
            if self.runner.stop_request.agreed and self.at_step_boundary:
                self.runner.stop()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_iter(self, batch: dict) -> None:
        """One forward and backward pass, and a step where one is due."""
        self.runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
        self._clips.append([str(name) for name in batch.get("clip") or ["unnamed"]])
        try:
            outputs = self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        except NonFiniteError as error:
            raise TrainingError(self._explain_non_finite(error)) from None
        local = [float(value.detach()) if isinstance(value, Tensor) else float(value) for value in outputs.values()]
        damage = damage_of(batch)
        *shared, met = self.runner.stop_request.agree([*local, float(len(damage))])
        self.damage = everywhere(damage) if met else []
        outputs = dict(zip(outputs, shared, strict=True))
        self.draws += self.dataloader.batch_size * get_world_size()
        self.runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=outputs)
        self.iter += 1
        if self.at_step_boundary:
            self._clips.clear()

    @property
    def at_step_boundary(self) -> bool:
        """Whether no accumulated gradient is pending, so that a checkpoint holds everything."""
        return self.iter % self.runner.accumulative_counts == 0

    def _validate_if_due(self) -> None:
        due = self.iter >= self.val_begin and (self.iter % self.val_interval == 0 or self.iter == self.max_iters)
        if due and self.runner.val_loop is not None and not self.runner.stop_request.agreed:
            self.runner.val_loop.run()

    def _fetch(self, batches: Iterator) -> dict:
        started = time.perf_counter()
        try:
            return next(batches)
        except Exception as error:
            raise TrainingError(self._explain_data(error)) from error
        finally:
            self.fetch_seconds = time.perf_counter() - started

    def _explain_data(self, error: BaseException) -> str:
        reason = "it ended" if isinstance(error, StopIteration) else _last_line(error)
        if "timed out" in str(error):
            seconds = self.dataloader.timeout
            reason = f"no batch came within {seconds:g} seconds (train_dataloader.timeout={seconds:g})"
        waited = "timed out" in str(error)
        if waited or "DataLoader worker" in reason:
            names = self._clips_in_work(waited)
            reason += f", at work on the clips {some(names)}" if names else ""
        return (
            f"the training data failed at iteration {self.iter + 1} (draws from {self.draws}): {reason}; "
            f"{self.runner.describe_last_checkpoint()}"
        )

    def _clips_in_work(self, waited: bool) -> list[str]:
        """The clips of the batches that the lost or hanging data worker had begun, where the dataset tells them."""
        drawn_clip = getattr(self.dataloader.dataset, "drawn_clip", None)
        if drawn_clip is None:
            return []
        size, world = self.dataloader.batch_size, get_world_size()
        first = self._first_draw + get_rank()
        places = (batch * size + i for batch in batches_in_work(self._batches, waited) for i in range(size))
        return sorted({drawn_clip(first + place * world) for place in places})

    def _explain_non_finite(self, error: NonFiniteError) -> str:
        """One sentence with the step and the clips, the same in every process."""
        local = (error.losses_finite, self._clips)
        everywhere: list = [local] * get_world_size()
        if get_world_size() > 1:
            torch.distributed.all_gather_object(everywhere, local)
        bad, every = [], []
        for finite, clips in everywhere:
            every += clips
            whole = len(finite) == len(clips)  # one loss an iteration, as everything but unusual training steps has it
            bad += [names for i, names in enumerate(clips) if not (finite[i] if whole else all(finite))]
        what = f"the {'loss' if bad else 'gradient'}{f' of the {error.part}' if error.part else ''}"
        names = sorted({name for names in bad or every for name in names})
        return (
            f"{what} is NaN or infinite at iteration {self.iter + 1}, in the batch of the clips {', '.join(names)}; "
            f"no step was made{' of it' if error.part else ''}, and {self.runner.describe_last_checkpoint()}"
        )


@LOOPS.register_module()
class ClipValLoop(BaseLoop):
    """Restores every clip of a benchmark and scores it; the clips are shared out among the processes.

    Args:
        runner: the Runner.
        dataloader: config of the validation data loader (`batch_size` 1 unless all clips have one size).
        evaluator: config of a metric, a list of them, or an Evaluator.
    """

    def __init__(self, runner, dataloader: dict | DataLoader, evaluator: dict | list | Evaluator):
        super().__init__(runner, dataloader)
        self.evaluator = runner.build_evaluator(evaluator)

    def run(self) -> dict[str, float]:
        """Scores by name; empty when a signal ended the validation early."""
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.runner.model.eval()
        stop = self.runner.stop_request
        quiet = not (is_main_process() and sys.stdout.isatty())
        try:
            for index, batch in enumerate(track(self.dataloader, "validation", transient=True, disable=quiet)):
                stop.agree([])
                if stop.agreed:
                    break
                self.run_iter(index, batch)
        except (MediaError, DataError) as error:
            raise TrainingError(
                f"a clip of the validation cannot be read at iteration {self.runner.iter}: {_last_line(error)}; "
                f"{self.runner.describe_last_checkpoint()}"
            ) from error
        metrics = {} if stop.agreed else self.evaluator.evaluate(len(self.dataloader.dataset))
        for metric in self.evaluator.metrics:
            metric.results.clear()
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics

    @torch.no_grad()
    def run_iter(self, index: int, batch: dict) -> None:
        self.runner.call_hook("before_val_iter", batch_idx=index, data_batch=batch)
        outputs = self.runner.model.val_step(batch)
        self.evaluator.process(data_samples=outputs, data_batch=batch)
        self.runner.call_hook("after_val_iter", batch_idx=index, data_batch=batch, outputs=outputs)


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Make the global generators of this process a pure function of (seed, rank, iteration)."""
    words = np.random.SeedSequence([seed, rank, iteration]).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002  (for code of others that draws from the global generator)
    torch.manual_seed(int(words[2]) << 32 | int(words[3]))


def _last_line(error: BaseException) -> str:
    """What went wrong, without the traceback that a data worker puts into its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    kind, _, text = lines[-1].partition(": ")
    is_class = bool(text) and kind.rpartition(".")[2].endswith(("Error", "Exception")) and " " not in kind
    return (text if is_class else lines[-1]).rstrip(".")
