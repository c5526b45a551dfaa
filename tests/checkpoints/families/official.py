"""The stored lists of official names and shapes, held against our networks without allocating them."""

import json

import torch
from torch import Tensor

from tests.paths import SHARED_PARITY
from vrestore.checkpoints.architectures import ARCHITECTURES, compare
from vrestore.checkpoints.network import recognise
from vrestore.checkpoints.weightless import weightless


def official_list(variant: str) -> dict:
    """A variant's entry: ``keys`` (names and shapes), ``n_params``, ``args``, …"""
    return json.loads((SHARED_PARITY / "baselines" / "keys" / f"{variant}.json").read_text())


def shapes_only(keys: dict[str, list[int]]) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in keys.items()}


def check_official(variant: str, architecture: str) -> dict:
    """Every name and shape of a variant belongs to our network, and to one architecture alone. Returns
    its arguments."""
    listed = official_list(variant)
    state = shapes_only(listed["keys"])
    found, renamed, arguments = recognise(state, variant, {})
    assert found.name == architecture
    assert [a.name for a in ARCHITECTURES.values() if a.detect(a.rename(state))] == [architecture]
    with weightless():
        network = found.build(arguments)
    misfit = compare(renamed, network.state_dict())
    assert not misfit.faults, misfit
    assert sum(p.numel() for p in network.parameters()) == listed["n_params"]
    return arguments
