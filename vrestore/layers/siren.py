"""SIREN: a network of sine layers over coordinates (Sitzmann et al., NeurIPS 2020, arXiv 2006.09661)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn as nn
from torch import Tensor

OMEGA = 30.0


class Siren(nn.Module):
    """Sine layers, then a linear one (names ``net.{i}.linear``, the last one ``net.{n}``).

    Args:
        in_features: numbers a point.
        hidden: widths of the sine layers.
        out_features: numbers out.
    """

    def __init__(self, in_features: int, hidden: Sequence[int], out_features: int):
        super().__init__()
        widths = [in_features, *hidden]
        layers: list[nn.Module] = [SineLayer(a, b) for a, b in pairwise(widths)]
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], out_features))
        self._init_weights()

    def _init_weights(self) -> None:
        """The paper's: every layer's sines see inputs of unit variance, whatever the depth."""
        for i, layer in enumerate(self.net):
            linear = layer.linear if isinstance(layer, SineLayer) else layer
            assert isinstance(linear, nn.Linear)
            bound = 1 / linear.in_features if i == 0 else math.sqrt(6 / linear.in_features) / OMEGA
            nn.init.uniform_(linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(…, out_features) of (…, in_features), in float32 at least: sines of large numbers need every digit."""
        weight = self.net[-1].weight
        assert isinstance(weight, Tensor)
        with torch.autocast(x.device.type, enabled=False):
            return self.net(x.to(weight.dtype))


class SineLayer(nn.Module):
    """``sin(omega * (W x + b))``."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(OMEGA * self.linear(x))
