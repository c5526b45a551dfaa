"""BasicVSR++: weights of MMagic (whose names are ours), of its authors' repository (the same names), and of BasicSR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.families.basicvsr import SPYNET_RULES, UPSAMPLE_RULES, infer_flow_network


def _infer(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "mid_channels": weights["deform_align.backward_1.weight"].shape[0],
        "num_blocks": count(weights, r"backbone\.backward_1\.main\.2\.(\d+)\."),
        "is_low_res_input": "feat_extract.main.0.weight" in weights,
        "hr_channels": weights["conv_hr.weight"].shape[0],
        **infer_flow_network(weights),
    }


register_architecture(
    Architecture(
        name="BasicVSR++",
        backbone="BasicVSRPlusPlus",
        detect=lambda names: {"deform_align.backward_1.weight", "reconstruction.main.0.weight"} <= names.keys(),
        infer=_infer,
        rules=(*SPYNET_RULES, *UPSAMPLE_RULES),
        keywords={"max_residue_magnitude": 10, "spynet": None, "cpu_cache_length": 100},
        constants=r"(^|\.)spynet\.(mean|std)$",
    )
)
