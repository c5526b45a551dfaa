"""The official names and shapes that are stored beside the reference outputs."""

from __future__ import annotations

import json

import torch

from tests.paths import SHARED_PARITY


def official_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an official state dict (``../shared/parity/baselines/keys``)."""
    content = json.loads((SHARED_PARITY / "baselines" / "keys" / f"{variant}.json").read_text())
    return {name: tuple(shape) for name, shape in content["keys"].items()}


def empty_weights(variant: str) -> dict[str, torch.Tensor]:
    """An official state dict that takes no memory."""
    return {name: torch.empty(shape, device="meta") for name, shape in official_shapes(variant).items()}
