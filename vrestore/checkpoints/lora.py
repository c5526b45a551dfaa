"""LoRA weights as a small file: saved alone, found again by the names of the layers they belong to, merged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch.nn as nn
from torch import Tensor

from vrestore.checkpoints.files import load_state_dict
from vrestore.checkpoints.materialise import check_finite
from vrestore.errors import WeightsError
from vrestore.layers.lora import ALPHA, DOWN, UP, adapt_layer, has_lora, is_lora, lora_layers, merge_lora


def load_lora(network: nn.Module, file: str | os.PathLike) -> int:
    """Load a file of LoRA weights into a network, and merge them, unless the network's own LoRAs are being trained.

    Args:
        network: changed in place; its own weights must be loaded already. Layers that have a LoRA get its weights and
            are left unmerged, so that training goes on; others are adapted and merged.
        file: what `vrestore.engine.export.export_lora` wrote.

    Returns:
        How many layers the file adapts.

    Raises:
        WeightsError: the file cannot be read, or adapts layers that the network does not have in that size.
    """
    state, source = load_state_dict(file), Path(file).name
    layers = lora_layers(state)
    if not layers or any(f"{layer}.{part}" not in state for layer in layers for part in (DOWN, UP, ALPHA)):
        raise WeightsError(f"{source} is no file of LoRA weights: it must hold {DOWN}, {UP} and {ALPHA} of each layer")
    own = dict(network.named_modules())
    known = {name for name, module in own.items() if has_lora(module)}
    if known and known != set(layers):
        other = sorted(known ^ set(layers))
        raise WeightsError(
            f"{source} adapts other layers than the config's lora does: {other[0]} ({len(other)} in all)"
        )
    for layer in layers:
        down, up, alpha = (state[f"{layer}.{part}"] for part in (DOWN, UP, ALPHA))
        weight = getattr(own.get(layer), "weight", None)
        if not isinstance(weight, Tensor) or (up.shape[0], down.shape[1]) != tuple(weight.shape[:2]):
            there = (
                f"a layer of {weight.shape[1]} to {weight.shape[0]}" if isinstance(weight, Tensor) else "no such layer"
            )
            raise WeightsError(
                f"{source} is of another network: it adapts {layer}, from {down.shape[1]} to {up.shape[0]}, and "
                f"{type(network).__name__} has {there}"
            )
        for part, value in ((DOWN, down), (UP, up)):
            check_finite(f"{layer}.{part}", value, source)
        if layer not in known:
            adapt_layer(own[layer], layer, down.shape[0], float(alpha))
        elif own[layer].get_parameter(DOWN).shape[0] != down.shape[0]:
            raise WeightsError(f"{source} has the rank {down.shape[0]}, and the config's lora another")
    network.load_state_dict(state, strict=False)
    if not known:
        merge_lora(network)
    return len(layers)


def with_own_lora(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights of a network without LoRAs, completed by those that the network to be filled has (untrained)."""
    if any(is_lora(name) for name in state):
        return state
    return {**{name: value for name, value in own.items() if is_lora(name)}, **state}
