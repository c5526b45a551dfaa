"""BasicVSR and SPyNet: weights of MMagic (whose names are ours) and of BasicSR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture

# BasicSR numbers a level's convolutions with the activations between them (0, 2, 4, 6, 8), MMagic without.
SPYNET_RULES = tuple(
    (rf"((?:^|\.)basic_module\.\d+\.basic_module)\.{2 * i}\.(weight|bias)$", rf"\1.{i}.conv.\2") for i in range(5)
)
TRUNK_RULES = ((r"(^|\.)(backward|forward)_trunk\.", r"\1\2_resblocks."),)
UPSAMPLE_RULES = ((r"(^|\.)upconv([12])\.", r"\1upsample\2.upsample_conv."),)


def infer_spynet(weights: Mapping[str, Tensor], prefix: str = "") -> dict[str, Any]:
    """Arguments of the SPyNet whose names begin with `prefix`."""
    convolutions = [weights[f"{prefix}basic_module.0.basic_module.{i}.conv.weight"] for i in range(5)]
    return {
        "num_levels": count(weights, rf"{prefix}basic_module\.(\d+)\."),
        "channels": tuple(w.shape[0] for w in convolutions[:4]),
        "kernel_size": convolutions[0].shape[-1],
    }


def infer_flow_network(weights: Mapping[str, Tensor], prefix: str = "") -> dict[str, Any]:
    """The argument ``spynet`` of a network that holds a SPyNet; nothing where its flow network is another."""
    if not any(name.startswith(f"{prefix}spynet.basic_module.") for name in weights):
        return {}
    return {"spynet": {"type": "SPyNet", **infer_spynet(weights, f"{prefix}spynet.")}}


def _infer_basicvsr(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "mid_channels": weights["fusion.weight"].shape[0],
        "num_blocks": count(weights, r"backward_resblocks\.main\.2\.(\d+)\."),
        "hr_channels": weights["conv_hr.weight"].shape[0],
    }
    return told | infer_flow_network(weights)


register_architecture(
    Architecture(
        name="BasicVSR",
        backbone="BasicVSR",
        detect=lambda names: {"fusion.weight", "backward_resblocks.main.0.weight", "conv_hr.weight"} <= names.keys(),
        infer=_infer_basicvsr,
        rules=(*SPYNET_RULES, *TRUNK_RULES, *UPSAMPLE_RULES),
        keywords={"spynet": None, "cpu_cache_length": 100},  # spynet: told by the shapes of a SPyNet, not of others
        constants=r"(^|\.)spynet\.(mean|std)$",
        restorer={"type": "RegressionRestorer"},
    )
)

register_architecture(
    Architecture(
        name="SPyNet",
        backbone="SPyNet",
        detect=lambda names: "basic_module.0.basic_module.0.conv.weight" in names,
        infer=infer_spynet,
        rules=SPYNET_RULES,
        constants=r"^(mean|std)$",
    )
)
