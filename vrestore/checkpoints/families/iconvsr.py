"""IconVSR: weights of MMagic (whose names are ours) and of BasicSR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.families.basicvsr import SPYNET_RULES, TRUNK_RULES, UPSAMPLE_RULES, infer_flow_network
from vrestore.checkpoints.families.edvr import EDVR_RULES, infer_features


def _infer_iconvsr(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    features = infer_features(weights, "edvr.")
    told: dict[str, Any] = {
        "mid_channels": weights["backward_fusion.weight"].shape[0],
        "num_blocks": count(weights, r"backward_resblocks\.main\.2\.(\d+)\."),
        "padding": features["num_frames"] // 2,
        "deform_groups": features["deform_groups"],
        "num_blocks_extraction": features["num_blocks_extraction"],
        "hr_channels": weights["conv_hr.weight"].shape[0],
    }
    return told | infer_flow_network(weights)


register_architecture(
    Architecture(
        name="IconVSR",
        backbone="IconVSR",
        detect=lambda names: {"edvr.feat_l2_conv1.conv.weight", "backward_fusion.weight"} <= names.keys(),
        infer=_infer_iconvsr,
        rules=(*SPYNET_RULES, *TRUNK_RULES, *EDVR_RULES, *UPSAMPLE_RULES),
        # `spynet` is told by the shapes of a SPyNet, not by those of another flow network
        keywords={"keyframe_stride": 5, "spynet": None, "cpu_cache_length": 100},
        constants=r"(^|\.)spynet\.(mean|std)$",
    )
)
