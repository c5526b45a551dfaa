"""Building networks without memory for their weights: to learn names, shapes and capabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

RANDOM_FILLS = ("normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_")


@contextmanager
def weightless() -> Iterator[None]:
    """Inside, modules are made on the ``meta`` device, and random initial values are not drawn."""
    with torch.device("meta"), _NoRandomFills():
        yield


class _NoRandomFills(TorchFunctionMode):
    """Leaves tensors as they are; on ``meta`` there is nothing to fill, yet torch takes seconds over it."""

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
