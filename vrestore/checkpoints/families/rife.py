"""RIFE: the paper's IFNet, with and without arbitrary time, and the versions 4.6 to 4.26 (released as flownet.pkl)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.backbones.rife import VERSIONS
from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.errors import WeightsError

# What serves training alone: the teacher that sees the wanted frame, and a network that guesses times.
TRAINING_ONLY = r"^(block_tea|teacher|caltime)(\.|$)"


def _infer_ifnet(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "arbitrary_time": weights["block0.conv0.0.0.weight"].shape[1] == 7,
        "channels": tuple(weights[f"block{i}.lastconv.weight"].shape[0] for i in range(3)),
        "num_convs": count(weights, r"block0\.convblock\.(\d+)\."),
        "context_channels": weights["contextnet.conv1.conv1.0.weight"].shape[0],
    }


def _infer_rife(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = count(weights, r"block(\d+)\.")
    has_encoder = "encode.cnn0.weight" in weights
    return {
        "channels": tuple(weights[f"block{i}.lastconv.0.weight"].shape[0] for i in range(blocks)),
        "encoder_channels": weights["encode.cnn0.weight"].shape[0] if has_encoder else 0,
        "feature_channels": weights["encode.cnn3.weight"].shape[1] if has_encoder else 0,
        "num_convs": count(weights, r"block0\.convblock\.(\d+)\."),
    }


def _complete_rife(arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The version: told by the number of blocks and the encoder, between 4.22 and its lite variant by the sizes."""
    channels, encoder = arguments["channels"], arguments["encoder_channels"]
    fitting = {
        name: version
        for name, version in VERSIONS.items()
        if len(version.channels) == len(channels) and bool(version.encoder_channels) == bool(encoder)
    }
    if not fitting:
        kind = "an encoder" if encoder else "no encoder"
        raise WeightsError(
            f"the weights are of a RIFE with {len(channels)} blocks and {kind}, which is none of the versions "
            f"{', '.join(VERSIONS)}"
        )
    given = arguments["version"]
    if given is not None and given not in fitting:
        raise WeightsError(f"version={given!r} contradicts the weights, which are of RIFE {' or '.join(fitting)}")
    exact = [name for name, version in fitting.items() if version.channels == tuple(channels)]
    return {**arguments, "version": given or (exact or list(fitting))[0]}


register_architecture(
    Architecture(
        name="IFNet",
        backbone="IFNet",
        detect=lambda names: {"contextnet.conv1.conv1.0.weight", "block0.lastconv.weight"} <= names.keys(),
        infer=_infer_ifnet,
        others=TRAINING_ONLY,
        restorer={"type": "InterpolationRestorer"},
    )
)

register_architecture(
    Architecture(
        name="RIFE",
        backbone="RIFE",
        detect=lambda names: {"block0.convblock.0.beta", "block0.lastconv.0.weight"} <= names.keys(),
        infer=_infer_rife,
        keywords={"version": None, "flow_scale": 1.0},
        others=TRAINING_ONLY,
        complete=_complete_rife,
        restorer={"type": "InterpolationRestorer"},
    )
)
