"""The discriminator of Real-ESRGAN (whose names are ours) and RealBasicVSR: to go on training against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, register_architecture


def _infer_discriminator(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    mid_channels, in_channels = weights["conv0.weight"].shape[:2]
    return {"in_channels": in_channels, "mid_channels": mid_channels}


register_architecture(
    Architecture(
        name="UNetDiscriminatorSN",
        backbone="UNetDiscriminatorSN",
        detect=lambda names: {"conv0.weight", "conv1.weight_orig", "conv9.weight"} <= names.keys(),
        infer=_infer_discriminator,
        # MMagic writes conv_0.
        rules=(
            (r"^(?:net_d\.|discriminator\.)?conv_?(\d)\.(weight|bias|weight_orig|weight_u|weight_v)$", r"conv\1.\2"),
        ),
        keywords={"skip_connection": True},
    )
)
