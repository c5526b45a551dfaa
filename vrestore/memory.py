"""Memory: how much there is, and how much a network will take, told before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import finalize

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

GIB = 2**30


@dataclass(frozen=True)
class MemoryNeed:
    """What a job takes beside the weights, in bytes.

    Attributes:
        throughout: what is there all the time, by what it is.
        stages: what only one stage of the work takes, by what it is; one comes after the other.
        lower_by: sentence on which settings lower it.
    """

    throughout: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, int] = field(default_factory=dict)
    lower_by: str = ""

    @property
    def total(self) -> int:
        """The most that is taken at one time."""
        return sum(self.throughout.values()) + max(self.stages.values(), default=0)

    def __str__(self) -> str:
        widest = max(self.stages, key=lambda name: self.stages[name], default=None)
        parts = {**self.throughout, **({} if widest is None else {widest: self.stages[widest]})}
        told = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items())
        return f"about {self.total / GIB:.1f} GiB beside the weights ({told})"


def free_memory_bytes(device: torch.device | str = "cpu") -> int | None:
    """Memory that can still be had, swap included on the CPU; None where the system does not tell."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return sum(int(fields[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree"))
    except (OSError, KeyError, ValueError):
        return None


def activation_bytes(
    module: nn.Module, call: Callable[..., Any], *shapes: tuple[int, ...], dtype: torch.dtype | None = None
) -> int:
    """The most memory that a call's tensors take at one time, without weights and inputs; nothing is computed.

    The call runs on tensors that have shapes and no memory, so the figure follows the code as it is. What kernels take
    for themselves is not in it.

    Args:
        module: whose weights take part; one on the meta device will do.
        call: ``call(module, *inputs)``; it must not ask for the values of a tensor.
        shapes: of the inputs, float32.
        dtype: precision of an autocast around the call; None is none.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(), torch.no_grad(), torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        state = {
            f"module.{name}": torch.empty(value.shape, dtype=value.dtype, device="cpu")
            for name, value in (*module.named_parameters(), *module.named_buffers())
        }
        inputs = tuple(torch.empty(shape) for shape in shapes)
        with _Tally([*state.values(), *inputs]) as tally:
            torch.func.functional_call(_Call(module, call), state, inputs)
    return tally.most


def training_bytes(
    module: nn.Module, call: Callable[..., Tensor], *shapes: tuple[int, ...], dtype: torch.dtype | None = None
) -> int:
    """The most memory that a call and its backward pass take at one time, without weights, their gradients and inputs.

    As `activation_bytes`, with what is kept for the gradients of those weights that require one.

    Args:
        module: whose weights take part; one on the meta device will do.
        call: ``call(module, *inputs)`` gives the loss; it must not ask for the values of a tensor.
        shapes: of the inputs, float32, without gradients.
        dtype: precision of an autocast around the call; None is none.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        state: dict[str, Tensor] = {}
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            fake = torch.empty(value.shape, dtype=value.dtype, device="cpu")
            if value.requires_grad:
                fake.requires_grad_(True).register_post_accumulate_grad_hook(_drop_gradient)
            state[f"module.{name}"] = fake
        inputs = tuple(torch.empty(shape) for shape in shapes)

        def step(inner: nn.Module, *given: Tensor) -> None:
            with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
                loss = call(inner, *given)
            loss.backward()  # within, because checkpointed parts run again and need these weights

        with torch.enable_grad(), _Tally([*state.values(), *inputs]) as tally:
            torch.func.functional_call(_Call(module, step), state, inputs)
    return tally.most


def _drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


class _Call(nn.Module):
    """Any call as a module's forward, so that its weights can be exchanged."""

    def __init__(self, module: nn.Module, call: Callable[..., Any]):
        super().__init__()
        self.module = module
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        return self.call(self.module, *inputs)


class _Tally(TorchDispatchMode):
    """Counts the bytes of the storages that are alive while it is on, but for those of `known` tensors."""

    def __init__(self, known: list[Tensor]):
        super().__init__()
        self.now = self.most = 0
        self._known = [tensor.untyped_storage() for tensor in known]
        self._sizes = {storage._cdata: 0 for storage in self._known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_iter(out):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.now += self._sizes[key]
        self.most = max(self.most, self.now)
        finalize(storage, self._let_go, key)

    def _let_go(self, key: int) -> None:
        self.now -= self._sizes.pop(key)
