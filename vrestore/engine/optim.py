"""AutocastOptimWrapper: mixed precision, gradient accumulation and clipping, and no step on a bad gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed
import torch.nn as nn
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from torch import Tensor
from torch.distributed.tensor import DTensor

from vrestore.engine.processes import average_gradients
from vrestore.errors import ConfigError
from vrestore.registry import OPTIM_WRAPPERS

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
MOST_SKIPPED_STEPS = 50  # a loss scale that starts at 2**16 has long gone below 1 after as many halvings


class NonFiniteError(ArithmeticError):
    """A loss or gradient is NaN or infinite, in this process or in another; no step was made.

    Attributes:
        losses_finite: for each iteration since the last step, whether its loss in this process was finite.
        part: of the model that the optimiser trains; '' is the whole.
    """

    def __init__(self, losses_finite: list[bool], part: str = ""):
        super().__init__("a loss or gradient is NaN or infinite")
        self.losses_finite, self.part = losses_finite, part


@OPTIM_WRAPPERS.register_module(name=["AutocastOptimWrapper", "OptimWrapper"])
class AutocastOptimWrapper(OptimWrapper):
    """An optimiser that steps every `accumulative_counts` iterations, under autocast, only on finite gradients.

    Args:
        optimizer: the optimiser (in a config: ``dict(type='Adam', lr=…)``).
        precision: ``fp32``, ``bf16`` (CPU and CUDA) or ``fp16`` (CUDA, with a loss scale that adapts itself).
        accumulative_counts: iterations whose gradients are averaged into one step, >= 1.
        clip_grad: ``dict(max_norm=…)`` or ``dict(type='value', clip_value=…)``.

    Attributes:
        frozen: parameters that get no update for now: their gradients are dropped before each step. Dropping works
            under distributed training too, where switching `requires_grad` would upset the gradient exchange.
        stepped: whether the last `update_params` made an optimiser step.
        part: of the model that it trains, where there are several; '' is the whole.
        norm_name: name of the gradients' norm in the log.
        shares_gradients: average the gradients over all processes before a step, where nothing else does.

    Raises:
        ConfigError: an unknown precision, or fp16 without CUDA.
        NonFiniteError: from `update_params`, in every process alike, instead of the step.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        precision: str = "fp32",
        accumulative_counts: int = 1,
        clip_grad: dict | None = None,
    ):
        super().__init__(optimizer, accumulative_counts, dict(clip_grad) if clip_grad else None)
        self.device = _device_of(optimizer)
        check_precision(precision, self.device.type)
        self.precision = precision
        self.scaler = torch.amp.GradScaler(self.device.type) if precision == "fp16" else None
        self.frozen: list[nn.Parameter] = []
        self.stepped = False
        self.part, self.norm_name, self.shares_gradients = "", "grad_norm", False
        self._losses_finite: list[bool] = []  # one an iteration since the last step
        self._skipped_steps = 0

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, and no gradient exchange on iterations that only accumulate."""
        dtype = DTYPES[self.precision]
        with (
            super().optim_context(model),
            torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None),
        ):
            yield

    def update_params(self, loss: Tensor, step_kwargs: dict | None = None, zero_kwargs: dict | None = None) -> None:
        self.stepped = False
        self._losses_finite.append(bool(torch.isfinite(loss.detach()).all()))
        super().update_params(loss, step_kwargs, zero_kwargs)

    def backward(self, loss: Tensor, **kwargs) -> None:
        if not loss.requires_grad:  # all that it trains is frozen for now
            self._inner_count += 1
            return
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        super().backward(loss, **kwargs)

    def step(self, **kwargs) -> None:
        for parameter in self.frozen:
            parameter.grad = None
        if self.shares_gradients:
            average_gradients([p for group in self.optimizer.param_groups for p in group["params"]])
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        losses_finite, self._losses_finite = self._losses_finite, []
        self.stepped = _everywhere(all(losses_finite) and math.isfinite(self._clip_and_measure()), self.device)
        # fp16 overflows now and then by design: such a step is left out and the loss scale lowered.
        self._skipped_steps = 0 if self.stepped else self._skipped_steps + 1
        if self._skipped_steps > (0 if self.scaler is None else MOST_SKIPPED_STEPS):
            raise NonFiniteError(losses_finite, self.part)
        if self.scaler is None:
            self.optimizer.step(**kwargs)
        elif any(p.grad is not None for group in self.optimizer.param_groups for p in group["params"]):
            self.scaler.step(self.optimizer, **kwargs)
            self.scaler.update()

    def state_dict(self) -> dict:
        state = super().state_dict()
        if self.scaler is not None:
            state["scaler"] = {**self.scaler.state_dict(), "skipped_steps": self._skipped_steps}
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        state_dict = dict(state_dict)
        scaler = state_dict.pop("scaler", None)
        if self.scaler is not None and scaler is not None:
            scaler = dict(scaler)
            self._skipped_steps = scaler.pop("skipped_steps", 0)
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)

    def _clip_and_measure(self) -> float:
        """Clip the gradients as configured; their norm before that, 0 without any."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return 0.0
        by_norm = self.clip_grad_kwargs if self.clip_grad_kwargs and self.grad_name == "grad_norm" else {}
        measured = nn.utils.clip_grad_norm_(parameters, **{"max_norm": math.inf, **by_norm})
        norm = float(measured.full_tensor() if isinstance(measured, DTensor) else measured)  # of sharded gradients
        if self.clip_grad_kwargs and not by_norm:
            self.clip_func(parameters, **self.clip_grad_kwargs)
        self.message_hub.update_scalar(f"train/{self.norm_name}", norm)
        return norm


def check_precision(precision: str, device_type: str) -> None:
    """Refuse a precision that is unknown, or that this device cannot train in.

    Raises:
        ConfigError: names what can be used.
    """
    if precision not in DTYPES:
        raise ConfigError(f"precision must be one of {', '.join(DTYPES)}, got {precision!r}")
    if precision == "fp16" and device_type != "cuda":
        raise ConfigError(f"fp16 training needs a CUDA device, and this runs on {device_type}; use bf16 or fp32")


def _everywhere(flag: bool, device: torch.device) -> bool:
    """Whether `flag` holds in every process."""
    if get_world_size() == 1:
        return flag
    shared = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MIN)
    return bool(shared)


def _device_of(optimizer: torch.optim.Optimizer) -> torch.device:
    return next((p.device for group in optimizer.param_groups for p in group["params"]), torch.device("cpu"))
