"""RealBasicVSR: weights of MMagic (whose names are ours); BasicSR's names of the BasicVSR in it are known too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.families.basicvsr import SPYNET_RULES, TRUNK_RULES, UPSAMPLE_RULES, infer_flow_network


def _infer_realbasicvsr(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "mid_channels": weights["basicvsr.fusion.weight"].shape[0],
        "num_propagation_blocks": count(weights, r"basicvsr\.backward_resblocks\.main\.2\.(\d+)\."),
        "num_cleaning_blocks": count(weights, r"image_cleaning\.0\.main\.2\.(\d+)\."),
        "hr_channels": weights["basicvsr.conv_hr.weight"].shape[0],
    }
    return told | infer_flow_network(weights, "basicvsr.")


register_architecture(
    Architecture(
        name="RealBasicVSR",
        backbone="RealBasicVSR",
        detect=lambda names: {"image_cleaning.0.main.0.weight", "basicvsr.fusion.weight"} <= names.keys(),
        infer=_infer_realbasicvsr,
        rules=(*SPYNET_RULES, *TRUNK_RULES, *UPSAMPLE_RULES),
        keywords={
            "dynamic_refine_thres": 255,
            "is_sequential_cleaning": False,
            "is_fix_cleaning": False,
            "cpu_cache_length": 100,
            "spynet": None,  # told by the shapes of a SPyNet, not by those of another flow network
        },
        constants=r"(^|\.)spynet\.(mean|std)$",
    )
)
