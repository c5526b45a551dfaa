"""A network's conditions as keyword arguments: cut to a window of frames, or stacked for one batched call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vrestore.errors import ConfigError

Conditions = Mapping[str, Any]


def cut_frames(conditions: Conditions, frame_axes: Mapping[str, int], start: int, stop: int) -> dict[str, Any]:
    """The conditions of frames start to stop; only those named in `frame_axes` have a time axis to cut."""
    cut = dict(conditions)
    for name, axis in frame_axes.items():
        if cut.get(name) is not None:
            cut[name] = cut[name].narrow(axis, start, stop - start)
    return cut


def stack(first: Conditions, second: Conditions, batch: int) -> dict[str, Any]:
    """Conditions of two calls on the same batch as those of one call on twice the batch, the first half first.

    Tensors have a leading batch axis of `batch` or 1, or none at all; anything else must be the same in both.

    Raises:
        ConfigError: a condition that is there in one only, or differs and is no tensor.
    """
    stacked: dict[str, Any] = {}
    for name in {**first, **second}:
        one, two = first.get(name), second.get(name)
        if isinstance(one, Tensor) and isinstance(two, Tensor):
            stacked[name] = torch.cat([_spread(one, batch), _spread(two, batch)])
        elif isinstance(one, Tensor) or isinstance(two, Tensor) or one != two:
            raise ConfigError(
                f"condition '{name}' cannot be batched: it is {_kind(one)} with and {_kind(two)} without guidance; "
                f"use Guidance(batched=False)"
            )
        else:
            stacked[name] = one
    return stacked


def _spread(value: Tensor, batch: int) -> Tensor:
    if value.ndim == 0:
        return value.expand(batch)
    return value.expand(batch, *value.shape[1:]) if len(value) == 1 else value


def _kind(value: Any) -> str:
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
