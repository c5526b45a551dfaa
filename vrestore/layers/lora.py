"""LoRA (arXiv 2106.09685): weights that are trained through a narrow product beside them, and kept in a small file.

The weight that an adapted layer works with *is* ``weight + alpha / rank * up @ down``, formed where it is used. Merging
stores that very tensor, so that a merged network gives bit for bit what the adapted one gave.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError

DOWN, UP, ALPHA = "lora_down", "lora_up", "lora_alpha"
MARK = ".lora_"
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def add_lora(
    network: nn.Module, rank: int, alpha: float | None = None, targets: Sequence[str] = ATTENTION
) -> list[str]:
    """Give layers of a network a LoRA each. Their weights keep names and values, and the network its output.

    New parameters of a layer ``x``: ``x.lora_down`` (rank, in), drawn at random, ``x.lora_up`` (out, rank), zero; and a
    buffer ``x.lora_alpha``.

    Args:
        network: changed in place.
        rank: of the product, >= 1.
        alpha: the product counts alpha / rank times; None is `rank`.
        targets: ends of the layers' names, whole components of them; linear layers and convolutions of width 1.

    Returns:
        The names of the layers.

    Raises:
        ConfigError: a rank or alpha out of range, a target that names no layer, or one that is no such layer.
    """
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise ConfigError(f"lora.rank must be a whole number >= 1, got {rank!r}")
    if alpha is not None and not alpha > 0:
        raise ConfigError(f"lora.alpha must be above 0, got {alpha!r}")
    if isinstance(targets, str) or not targets:
        raise ConfigError(
            f"lora.targets must be a list of ends of layer names such as {ATTENTION[0]!r}, got {targets!r}"
        )
    chosen: dict[str, nn.Module] = {}
    for target in targets:
        hits = {n: m for n, m in network.named_modules() if n == target or n.endswith(f".{target}")}
        if not hits:
            raise ConfigError(f"lora.targets holds {target!r}, and no layer's name ends so in {type(network).__name__}")
        chosen |= hits
    for name, layer in chosen.items():
        adapt_layer(layer, name, rank, float(alpha or rank))
    return list(chosen)


def adapt_layer(layer: nn.Module, name: str, rank: int, alpha: float) -> None:
    """`add_lora` for one layer, called `name` in errors."""
    wide = any(side != 1 for side in getattr(layer, "kernel_size", ()))
    if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)) or wide or getattr(layer, "groups", 1) != 1:
        raise ConfigError(
            f"lora.targets names {name}, a {type(layer).__name__}: LoRA adapts linear layers and convolutions of "
            f"width 1"
        )
    if has_lora(layer):
        raise ConfigError(f"{name} has a LoRA already")
    weight = layer.weight
    if rank > min(weight.shape[:2]):
        raise ConfigError(f"lora.rank={rank} is larger than {name}, a layer of {weight.shape[1]} to {weight.shape[0]}")
    # A layer without memory gets its weight from a file, which holds no LoRA: that begins here.
    place: dict[str, Any] = {"device": "cpu" if weight.is_meta else weight.device, "dtype": torch.float32}
    down = nn.Parameter(torch.empty(rank, weight.shape[1], **place))
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    layer.register_parameter(DOWN, down)
    layer.register_parameter(UP, nn.Parameter(torch.zeros(weight.shape[0], rank, **place)))
    layer.register_buffer(ALPHA, torch.tensor(alpha, **place))
    layer.__class__ = _adapted_class(type(layer))  # type: ignore[arg-type]


def has_lora(layer: nn.Module) -> bool:
    """Whether a layer has a LoRA that is not merged."""
    return isinstance(layer, _Adapted)


def lora_parameters(network: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that LoRA added to a network."""
    return (parameter for name, parameter in network.named_parameters() if is_lora(name))


def is_lora(name: str) -> bool:
    """Whether a parameter or buffer of that name belongs to a LoRA."""
    return MARK in f".{name}"


def merge_lora(network: nn.Module) -> int:
    """Put every LoRA of a network into the weight it adapts; how many there were. The output stays, bit for bit."""
    merged = 0
    for layer in network.modules():
        if isinstance(layer, _Adapted):
            with torch.no_grad():
                trains = layer._parameters["weight"].requires_grad
                layer._parameters["weight"] = nn.Parameter(layer.weight.detach(), requires_grad=trains)
            for name in (DOWN, UP):
                del layer._parameters[name]
            del layer._buffers[ALPHA]
            layer.__class__ = type(layer).__bases__[1]
            merged += 1
    return merged


def merged_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with its LoRAs merged, as `merge_lora` does it."""
    merged = {name: value for name, value in state.items() if not is_lora(name)}
    for layer in lora_layers(state):
        own = [state[f"{layer}.{part}"] for part in (DOWN, UP, ALPHA)]
        merged[f"{layer}.weight"] = adapted(state[f"{layer}.weight"], *own)
    return merged


def lora_layers(state: Mapping[str, Any]) -> list[str]:
    """The layers whose LoRA a state dict holds."""
    return [name.removesuffix(f".{UP}") for name in state if name.endswith(f".{UP}")]


def adapted(weight: Tensor, down: Tensor, up: Tensor, alpha: Tensor) -> Tensor:
    """``weight + alpha / rank * up @ down``, formed in the precision of the LoRA, in that of the weight."""
    with torch.autocast(weight.device.type, enabled=False):
        product = (up @ down) * (alpha / down.shape[0])
        return (weight.to(up.dtype) + product.view(weight.shape)).to(weight.dtype)


class _Adapted:
    """What a layer's class gets before it: `weight` is the adapted one, while the stored one keeps its name."""

    _parameters: dict[str, nn.Parameter]
    _buffers: dict[str, Tensor]

    @property
    def weight(self) -> Tensor:
        own, buffers = self._parameters, self._buffers
        if own["weight"].is_meta:  # asked for while a file fills it
            return own["weight"]
        return adapted(own["weight"], own[DOWN], own[UP], buffers[ALPHA])


@cache
def _adapted_class(kind: type) -> type:
    return type(f"LoRA{kind.__name__}", (_Adapted, kind), {})
