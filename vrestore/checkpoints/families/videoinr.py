"""VideoINR: weights of its release, whose names are ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.families.zooming_slowmo import RECURRENCE, infer_encoder


def _infer(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    networks = {"feature_hidden": "feat_imnet", "flow_hidden": "flow_imnet", "encode_hidden": "encode_imnet"}
    return {**infer_encoder(weights), **{key: _hidden(weights, name) for key, name in networks.items()}}


def _hidden(weights: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    layers = count(weights, rf"{name}\.net\.(\d+)\.linear\.")
    return tuple(weights[f"{name}.net.{i}.linear.weight"].shape[0] for i in range(layers))


register_architecture(
    Architecture(
        name="VideoINR",
        backbone="VideoINR",
        detect=lambda names: RECURRENCE in names and any(name.startswith("feat_imnet.net.") for name in names),
        infer=_infer,
        keywords={"points": 2**16},
        restorer={"type": "SpaceTimeRestorer"},
    )
)
