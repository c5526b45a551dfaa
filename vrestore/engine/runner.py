"""Runner: MMEngine's Runner, building through our registries, saving safely and resuming exactly."""

from __future__ import annotations

import importlib.util
import itertools
import json
import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mmengine
import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import barrier, is_main_process, master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseModule, convert_sync_batchnorm, is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner as MMEngineRunner
from torch.utils.data import DataLoader

from vrestore.data.clips import DamagedClipWarning
from vrestore.disk import is_full
from vrestore.engine import checkpoint as checkpoints
from vrestore.engine import schedules
from vrestore.engine.hooks import DEFAULT_HOOKS, SafeCheckpointHook, TrainedEMAHook
from vrestore.engine.loaders import build_dataloader
from vrestore.engine.loops import StreamTrainLoop
from vrestore.engine.optim import AutocastOptimWrapper
from vrestore.engine.processes import join_processes, share_model, share_weights
from vrestore.engine.resuming import optimiser_kinds
from vrestore.engine.several_optimisers import are_several, optimiser_parts
from vrestore.engine.sharding import ShardedStrategy, gathered, spread_optimiser_state
from vrestore.engine.stop import StopRequest, TrainingStopped
from vrestore.errors import ConfigError, WeightsError
from vrestore.registry import HOOKS, LOOPS, METRICS, MODELS, RUNNERS, STRATEGIES, VISUALIZERS
from vrestore.version import __version__

_runs_of_this_process = itertools.count()

# Sections of a config that MMEngine's Runner takes as arguments, beside the model.
PARTS_OF_CONFIG = (
    *("work_dir", "train_dataloader", "train_cfg", "val_dataloader", "val_cfg", "val_evaluator", "optim_wrapper"),
    *("param_scheduler", "auto_scale_lr", "default_hooks", "custom_hooks", "load_from", "launcher", "env_cfg"),
    *("log_processor", "log_level", "visualizer", "default_scope", "randomness", "experiment_name"),
)


BEGINNINGS = ("backbone", "unet", "lora")  # parts of `BaseRestorer.weight_files` that training changes


@RUNNERS.register_module()
class Runner(MMEngineRunner):
    """Runs a training config; made by `vrestore.engine.train.train`, which checks the config first.

    Differs from MMEngine's Runner in that every part is built by our registries (and their error messages), that
    checkpoints hold plain data, are written whole or not at all and load with ``weights_only=True``, that a resumed run
    repeats an uninterrupted one exactly, and that signals end a run at a step with a checkpoint.

    Args:
        model: config of the model, or the built model.
        resume_from: a loaded checkpoint to go on from, or None.
        **kwargs: what MMEngine's Runner takes.
    """

    param_schedulers: Any
    strategy: ShardedStrategy | None = None  # of a model that is sharded over several processes

    def __init__(self, model: nn.Module | dict, *, resume_from: dict | None = None, **kwargs: Any):
        self.stop_request = StopRequest()
        self._checkpoint = resume_from
        self._has_loaded = False
        super().__init__(model=model, **kwargs)

    @classmethod
    def from_parts(
        cls,
        cfg: Config,
        model: nn.Module,
        resume_from: dict | None = None,
        data: Mapping[str, Any] = MappingProxyType({}),
    ) -> Runner:
        """A Runner of a checked config (`vrestore.engine.train.prepare_config`), its built model and data loaders.

        Args:
            cfg, model: those.
            resume_from: a loaded checkpoint to go on from, or None.
            data: data loaders that are built already, by their names in the config.
        """
        plain = {**cfg.to_dict(), **data}
        given = {name: plain[name] for name in PARTS_OF_CONFIG if plain.get(name) is not None}
        return cls(model, resume_from=resume_from, cfg=cfg, **given)

    # ---------------------------------------------------------------- building

    def setup_env(self, env_cfg: dict) -> None:
        if self.distributed:
            join_processes(**env_cfg.get("dist_cfg", {}))
        super().setup_env(env_cfg)
        # MMEngine keys loggers and message hubs by this; two runs of one process in one second must not share them.
        run = next(_runs_of_this_process)
        self._timestamp += f"_{run}" if run else ""

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        return model if isinstance(model, nn.Module) else MODELS.build(model)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        model = model.to(get_device())
        if self.cfg.get("channels_last", False):
            for parameter in model.parameters():
                if parameter.dim() == 4:  # convolution weights; the activations follow their layout
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        if not self.distributed:
            return revert_sync_batchnorm(model)
        if self.cfg.get("strategy"):
            self.strategy = STRATEGIES.build(dict(self.cfg.strategy))
            if isinstance(model, BaseModule):
                model.init_weights()
            return self.strategy.shard(model)
        if model_wrapper_cfg is not None:
            return super().wrap_model(model_wrapper_cfg, model)
        if self.cfg.get("sync_bn"):
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        if are_several(self.cfg.optim_wrapper):
            return share_weights(model)
        return share_model(model, self.cfg.get("find_unused_parameters", False))

    def _init_model_weights(self) -> None:
        if self.strategy is None:  # a sharded model was initialised whole, from one seed in every process
            super()._init_model_weights()

    def build_train_loop(self, loop):
        if isinstance(loop, dict):
            loop = LOOPS.build(
                {"type": "StreamTrainLoop", **loop},
                default_args={"runner": self, "dataloader": self._train_dataloader},
            )
        if not isinstance(loop, StreamTrainLoop):
            raise ConfigError(f"train_cfg must build a StreamTrainLoop, got {type(loop).__name__}")
        return loop

    def build_val_loop(self, loop):
        if isinstance(loop, dict):
            parts = {"runner": self, "dataloader": self._val_dataloader, "evaluator": self._val_evaluator}
            loop = LOOPS.build({"type": "ClipValLoop", **loop}, default_args=parts)
        return loop

    def build_evaluator(self, evaluator: dict | list | Evaluator) -> Evaluator:
        if isinstance(evaluator, Evaluator):
            return evaluator
        configs = evaluator if isinstance(evaluator, list | tuple) else [evaluator]
        metrics = [METRICS.build(cfg) if isinstance(cfg, dict) else cfg for cfg in configs]
        for i, metric in enumerate(metrics):
            if getattr(metric, "collect_dir", "") is None and metric.collect_device == "cpu":
                metric.collect_dir = str(Path(self.work_dir) / f".scores_{i}")  # MMEngine would fill the current folder
        return Evaluator(metrics)

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False):
        return build_dataloader(dataloader, seed)

    def build_optim_wrapper(self, optim_wrapper):
        built = super().build_optim_wrapper(optim_wrapper)
        parts = built.values() if isinstance(built, OptimWrapperDict) else [built]
        for part in parts:
            if not isinstance(part, AutocastOptimWrapper):
                raise ConfigError(
                    f"optim_wrapper must be an AutocastOptimWrapper, which checks every gradient; "
                    f"got {type(part).__name__}"
                )
        return built

    def _build_param_scheduler(self, scheduler, optim_wrapper) -> list:
        return schedules.build_schedules(scheduler, optim_wrapper, self.max_iters, self.logger.warning)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any):
        logger = super().build_logger(log_level, log_file, logger_name="vrestore", **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):  # a full disk is told by what the run cannot do without
                handler.handleError = lambda record: None  # type: ignore[method-assign]
        return logger

    def build_visualizer(self, visualizer=None):
        if visualizer is None:
            visualizer = {"type": "Visualizer"}
        if not isinstance(visualizer, dict):
            return visualizer
        cfg = {"name": self._experiment_name, "save_dir": self._log_dir, **visualizer}
        backends = cfg.get("vis_backends") or []
        if importlib.util.find_spec("tensorboard") is None:  # the curves are in log.jsonl too, so the run goes on
            kept = [backend for backend in backends if "Tensorboard" not in str(backend.get("type"))]
            if len(kept) < len(backends):
                self.logger.warning("no TensorBoard curves: install them with pip install 'vrestore[report]'")
            backends = kept
        return VISUALIZERS.build({**cfg, "vis_backends": backends or None})

    def register_hook(self, hook: Hook | dict, priority=None) -> None:
        if isinstance(hook, dict):
            cfg = dict(hook)
            priority = cfg.pop("priority", None) if priority is None else priority
            hook = HOOKS.build(cfg)
        super().register_hook(hook, priority)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        hooks = hooks or {}
        for name in {**DEFAULT_HOOKS, **hooks}:
            hook = hooks.get(name, DEFAULT_HOOKS.get(name))
            if hook is not None:
                self.register_hook({**DEFAULT_HOOKS.get(name, {}), **hook} if isinstance(hook, dict) else hook)

    # ---------------------------------------------------------------- running

    def train(self) -> nn.Module:
        with self.stop_request, warnings.catch_warnings(), _quiet_writers():
            warnings.simplefilter("ignore", DamagedClipWarning)  # a hook counts them in the log
            # The schedule counts iterations, of which the first may make no step yet.
            if self.accumulative_counts > 1 or are_several(self.cfg.optim_wrapper):
                warnings.filterwarnings("ignore", "Detected call of `scheduler.step")
            return super().train()

    @property
    def accumulative_counts(self) -> int:
        """Iterations of one optimiser step."""
        wrapper = self.optim_wrapper
        if isinstance(wrapper, dict):  # not built yet
            return max(part.get("accumulative_counts", 1) for part in optimiser_parts(wrapper).values())
        parts = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        return max(part._accumulative_counts for part in parts)

    def stop(self) -> None:
        """End the run here, with a checkpoint, because a signal asked for it.

        Raises:
            TrainingStopped: always.
        """
        path = self.checkpoint_hook.save(self, self.iter)
        barrier()  # a process that ends early makes the launcher end the one that still writes
        number = self.stop_request.signal_number or signal.SIGTERM  # another process got the signal
        message = (
            f"stopped by {signal.Signals(number).name} after iteration {self.iter} of {self.max_iters}; "
            f"everything is in {path}: continue with --resume"
        )
        self.logger.info(message)
        self.visualizer.close()
        raise TrainingStopped(number, message)

    @property
    def checkpoint_hook(self) -> SafeCheckpointHook:
        for hook in self.hooks:
            if isinstance(hook, SafeCheckpointHook):
                return hook
        raise ConfigError("default_hooks has no checkpoint hook; give checkpoint=dict(type='SafeCheckpointHook', …)")

    def higher_is_better(self, score_name: str) -> bool:
        """Whether more is better in a validation score, as its metric declares."""
        for metric in self.val_evaluator.metrics:
            if getattr(metric, "name", None) in (score_name, score_name.rpartition("/")[2]):
                return bool(metric.higher_is_better)
        raise ConfigError(f"no metric says whether more is better in '{score_name}'; give save_best's rule")

    def describe_last_checkpoint(self) -> str:
        last = checkpoints.find_last_checkpoint(self.work_dir)
        return f"the last checkpoint is {last}" if last else f"no checkpoint was written to {self.work_dir} yet"

    # ---------------------------------------------------------------- saving and resuming

    def save_checkpoint(
        self,
        out_dir: str | Path,
        filename: str,
        *,
        done: int,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        **_: Any,
    ) -> None:
        """Write everything that the run needs to go on after `done` iterations, in the main process.

        Raises:
            TrainingError: the weights are not finite, or the file could not be written; older files are untouched.
        """
        if self.strategy is None and not is_main_process():
            return  # where weights are sharded, all processes must give theirs
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoint: dict[str, Any] = {
            "meta": self._meta(done),
            "state_dict": gathered(model.state_dict()),
            "message_hub": _lasting(self.message_hub.state_dict()),
        }
        if save_optimizer:
            checkpoint["optimizer"] = gathered(self.optim_wrapper.state_dict())
        if save_param_scheduler and self.param_schedulers:
            checkpoint["param_schedulers"] = _map_lists(lambda s: s.state_dict(), self.param_schedulers)
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        if is_main_process():
            checkpoints.save_checkpoint(checkpoint, Path(out_dir) / filename)

    def _meta(self, done: int) -> dict[str, Any]:
        return {
            "iter": done,
            "epoch": 0,
            "draws": self.train_loop.draws,
            "seed": self.seed,
            "world_size": self.world_size,
            "batch_size": self.train_loop.dataloader.batch_size,
            "model": json.loads(json.dumps(_as_trained(plain_config(self.cfg.get("model", {}))), default=str)),
            "optimizer": optimiser_kinds(self.cfg.get("optim_wrapper") or {}),
            "config_name": Path(self.cfg.filename).stem if self.cfg.filename else None,
            "cfg": self.cfg.pretty_text,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "vrestore_version": __version__,
            "mmengine_version": mmengine.__version__,
            "torch_version": torch.__version__,
        }

    def load_or_resume(self) -> None:
        if self._has_loaded:
            return
        if self._checkpoint is not None:
            checkpoint, self._checkpoint = self._checkpoint, None  # it is as large as the model: not to be kept
            self.resume(checkpoint)
        elif self._load_from is not None:
            self.load_checkpoint(self._load_from)
        self._has_loaded = True

    def resume(self, checkpoint: dict | str | Path, **_: Any) -> None:
        """Go on from a checkpoint: weights, average, optimiser, schedules, place in the data, log history.

        Raises:
            WeightsError: it is of another model, or holds no optimiser.
            ConfigError: the optimiser has other parts.
        """
        self._resume = True  # MMEngine's EMAHook asks for it
        source = "the checkpoint" if isinstance(checkpoint, dict) else checkpoint
        data = checkpoint if isinstance(checkpoint, dict) else checkpoints.load_checkpoint(checkpoint)
        if "optimizer" not in data:
            raise WeightsError(f"{source} holds weights only, no optimiser; give an iter_N.pth, or use load_from")
        meta = data["meta"]
        self._warn_of_changes(meta)
        self.call_hook("after_load_checkpoint", checkpoint=data)
        state = data["state_dict"]
        averaging = any(isinstance(hook, EMAHook | TrainedEMAHook) for hook in self.hooks)
        if "ema_state_dict" in data and not averaging:
            self.logger.warning(f"{source} holds averaged weights too; without an EMAHook they are left behind")
            state = {k: data["ema_state_dict"].get(f"module.{k}", v) for k, v in state.items()}
        model = self.model.module if is_model_wrapper(self.model) else self.model
        checkpoints.check_fits(state, model, source)
        self._load_state(model, state)
        self.message_hub.load_state_dict(data["message_hub"])
        self._resume_optimiser(data["optimizer"], schedules.flat(data.get("param_schedulers")), meta["iter"])
        self.train_loop.iter, self.train_loop.draws = meta["iter"], meta["draws"]
        self.logger.info(f"resumed after iteration {meta['iter']}")

    def _resume_optimiser(self, state: dict, saved_schedules: list[dict], done: int) -> None:
        """Put the optimiser and its schedules where they stood; a config that has changed its schedule is followed."""
        rates = schedules.starting_rates(self.optim_wrapper)
        if self.strategy is not None:
            state = spread_optimiser_state(state, self.optim_wrapper.optimizer)
        try:
            self.optim_wrapper.load_state_dict(state)
        except (ValueError, KeyError) as error:
            raise ConfigError(f"the config's optimiser is not the one of the checkpoint: {error}") from error
        ours = schedules.flat(self.param_schedulers)
        if ours and schedules.are_as_saved(ours, saved_schedules):
            for schedule, saved in zip(ours, saved_schedules, strict=True):
                schedule.load_state_dict(saved)
            return
        if ours or saved_schedules:
            self.logger.warning("the schedule is not the checkpoint's: from here on the config's is followed")
        schedules.start_over(self.optim_wrapper, rates)
        if ours:
            self.param_schedulers = self.build_param_scheduler(self.cfg.to_dict()["param_scheduler"])
            schedules.replay(schedules.flat(self.param_schedulers), done)

    def _warn_of_changes(self, meta: dict) -> None:
        batch_size = self.train_loop.dataloader.batch_size
        now = {"seed": self.seed, "world_size": self.world_size, "batch_size": batch_size}
        for name, value in now.items():
            if meta.get(name) != value:
                self.logger.warning(
                    f"{name} was {meta.get(name)} and is {value} now: the run goes on, but not exactly as it would have"
                )

    def load_checkpoint(self, filename: str | Path, map_location: Any = "cpu", strict: bool = True, **_: Any) -> dict:
        """Start from the weights of a checkpoint or safetensors file, with everything else new."""
        model = self.model.module if is_model_wrapper(self.model) else self.model
        state = checkpoints.load_weights(filename, model)
        checkpoints.check_fits(state, model, filename)
        self.call_hook("after_load_checkpoint", checkpoint={"state_dict": state})
        self._load_state(model, state)
        self.logger.info(f"loaded the weights of {filename}")
        return {"state_dict": state}

    def _load_state(self, model: nn.Module, state: dict) -> None:
        if self.strategy is None:
            model.load_state_dict(state)
        else:
            self.strategy.load_model_state_dict(state)

    # ---------------------------------------------------------------- quieter than MMEngine

    def _log_env(self, env_cfg: dict) -> None:
        device = get_device()
        name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} thread(s)"
        self.logger.info(
            f"vrestore {__version__}, torch {torch.__version__}, {device} ({name}), {self.world_size} process(es), "
            f"seed {self.seed}, work dir {self.work_dir}"
        )

    def get_hooks_info(self) -> str:
        return ", ".join(type(hook).__name__ for hook in self.hooks)

    @master_only
    def dump_config(self) -> None:
        name = Path(self.cfg.filename).name if self.cfg.filename else "config.py"
        self.cfg.dump(str(Path(self.work_dir) / (Path(name).stem + ".py")))


@contextmanager
def _quiet_writers() -> Iterator[None]:
    """No traceback of TensorBoard's writing thread on a full disk: the next curve raises the same in this thread."""
    before = threading.excepthook

    def told(arguments: Any) -> None:
        if not is_full(arguments.exc_value):
            before(arguments)

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before


def plain_config(value: Any) -> Any:
    """A config as plain dicts and lists."""
    if isinstance(value, Config):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(k): plain_config(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_config(v) for v in value]
    return value


def _as_trained(model: dict) -> dict:
    """A model's config without the files that its trained part began with: a checkpoint holds that."""
    weights = model.get("weights")
    if not weights:
        return model
    places = weights.items() if isinstance(weights, dict) else ()
    kept = {part: place for part, place in places if part not in BEGINNINGS}
    return {**model, "weights": kept or None}


def _lasting(message_hub: dict) -> dict:
    """The state of a message hub without what describes one process only."""
    passing = {"cfg", "seed", "experiment_name", "mmengine_version", "dataset_meta", "loop_stage", "max_iters"}
    info = {k: v for k, v in message_hub["runtime_info"].items() if k not in passing}
    resumed = {k: v for k, v in message_hub["resumed_keys"].items() if k in info or k in message_hub["log_scalars"]}
    return {**message_hub, "runtime_info": info, "resumed_keys": resumed}


def _map_lists(function, schedulers: Any) -> Any:
    if isinstance(schedulers, dict):
        return {name: [function(s) for s in group] for name, group in schedulers.items()}
    return [function(s) for s in schedulers]
