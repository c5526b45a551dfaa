"""Layers that begin at zero."""

from __future__ import annotations

from typing import TypeVar

import torch.nn as nn

Layer = TypeVar("Layer", bound=nn.Module)


def zeroed(layer: Layer) -> Layer:
    """Start a layer at zero, so that what it adds to its surroundings begins as if it were not there."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
