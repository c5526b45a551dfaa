"""Weights -> a network that has no memory yet, a few tensors at a time, so that memory holds them once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.checkpoints.weightless import weightless
from vrestore.errors import ConfigError, WeightsError

Reader = Callable[[], Mapping[str, Tensor]]

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "fp64": torch.float64}
# Of a file that is read as it is used, so much stays in memory until it is opened anew.
GROUP_BYTES = 256 << 20


def materialise(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    subject: str,
    *,
    dtype: torch.dtype | None = None,
    again: Reader | None = None,
) -> None:
    """Give a network on the meta device its memory, filled with weights whose names and shapes were checked.

    Args:
        network: the network.
        weights: its weights; they are copied.
        subject: beginning of the error's sentence.
        dtype: precision of what is floating; None is the network's own.
        again: opens the file of `weights` anew; pages of a mapped file stay in memory as long as it is open, so that is
            done every 256 MB. None where the weights are in memory anyway.

    Raises:
        WeightsError: a value is not a finite number.
    """
    own = {name: value.dtype for name, value in network.state_dict().items()}
    for group in in_groups(weights, again):
        filled = {}
        for name, value in group.items():
            check_finite(name, value, subject)
            wanted = dtype if dtype is not None and own[name].is_floating_point else own[name]
            filled[name] = torch.empty(value.shape, dtype=wanted).copy_(value)
        network.load_state_dict(filled, strict=False, assign=True)


def in_groups(weights: Mapping[str, Tensor], again: Reader | None = None) -> Iterator[dict[str, Tensor]]:
    """The weights, some 256 MB at a time, each group from a file opened anew (see `materialise`)."""
    for i, names in enumerate(_groups(weights)):
        current = again() if again is not None and i > 0 else weights
        yield {name: current[name] for name in names}


def build_without_memory(
    build: Callable[[Mapping[str, Any]], nn.Module], arguments: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> nn.Module | None:
    """A network on the meta device: no memory, no time for random numbers.

    Returns:
        None where the weights would not fill all that the network holds (constants that files leave out, tensors that
        are no weights, weights under two names), or where it cannot be built so: then it is built with memory.
    """
    try:
        with weightless():
            network = build(arguments)
    except Exception:  # a mistake in the arguments is told by the build with memory
        return None
    if any(name not in weights for name, _ in network.named_buffers()):
        return None
    if len(list(network.parameters())) != len(list(network.named_parameters(remove_duplicate=False))):
        return None
    if any(isinstance(value, Tensor) for module in network.modules() for value in vars(module).values()):
        return None
    return network


def is_meta(network: nn.Module) -> bool:
    """Whether a network, or a part of it, has no memory yet."""
    return any(parameter.is_meta for parameter in network.parameters())


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """A precision by name ('fp32', 'fp16', 'bf16', or as torch spells it) or as it is; None stays None.

    Raises:
        ConfigError: it is none.
    """
    named = PRECISIONS.get(dtype, getattr(torch, dtype, dtype)) if isinstance(dtype, str) else dtype
    if named is None or (isinstance(named, torch.dtype) and named.is_floating_point):
        return named
    raise ConfigError(f"dtype must be one of {', '.join(PRECISIONS)} or a floating torch dtype; got {dtype!r}")


def check_finite(name: str, value: Tensor, subject: str) -> None:
    """Refuse a weight with a value that is no number.

    Raises:
        WeightsError: names the weight.
    """
    if value.is_floating_point() and not value.isfinite().all():
        raise WeightsError(f"{subject} holds a value in '{name}' that is not a finite number")


def _groups(weights: Mapping[str, Tensor]) -> Iterator[list[str]]:
    """The names, in groups of some 256 MB."""
    group: list[str] = []
    size = 0
    for name, value in weights.items():
        group.append(name)
        size += value.nbytes
        if size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    yield group
