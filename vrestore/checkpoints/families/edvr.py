"""EDVR: weights of MMagic (whose names are ours) and of BasicSR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.families.basicvsr import UPSAMPLE_RULES

# Convolutions with an activation: BasicSR keeps both apart, MMagic in one module with a `conv`.
EDVR_RULES = (
    (r"(^|\.)conv_l([23])_([12])\.(weight|bias)$", r"\1feat_l\2_conv\3.conv.\4"),
    (r"(^|\.)pcd_align\.", r"\1pcd_alignment."),
    (r"(^|\.)(offset_conv[123]|feat_conv)\.(l[123])\.(weight|bias)$", r"\1\2.\3.conv.\4"),
    (r"(^|\.)(cas_offset_conv[12])\.(weight|bias)$", r"\1\2.conv.\3"),
    (
        r"(^|\.)fusion\.(feat_fusion|spatial_attn[1-4]|spatial_attn_l[123]|spatial_attn_add1)\.(weight|bias)$",
        r"\1fusion.\2.conv.\3",
    ),
)


def infer_features(weights: Mapping[str, Tensor], prefix: str = "") -> dict[str, Any]:
    """Arguments of the `EDVRFeatures` whose names begin with `prefix`, but for its centre frame."""
    mid_channels = weights[f"{prefix}feat_l2_conv1.conv.weight"].shape[0]
    with_tsa = f"{prefix}fusion.temporal_attn1.weight" in weights
    with_predeblur = any(name.startswith(f"{prefix}predeblur.") for name in weights)
    first = weights[f"{prefix}predeblur.conv_first.weight" if with_predeblur else f"{prefix}conv_first.weight"]
    fusion = weights[f"{prefix}fusion.feat_fusion.conv.weight" if with_tsa else f"{prefix}fusion.weight"]
    offsets = weights[f"{prefix}pcd_alignment.dcn_pack.l3.conv_offset.weight"]
    return {
        "in_channels": first.shape[1],
        "mid_channels": mid_channels,
        "num_frames": fusion.shape[1] // mid_channels,
        "deform_groups": offsets.shape[0] // 27,
        "num_blocks_extraction": count(weights, rf"{prefix}feature_extraction\.(\d+)\."),
        "with_tsa": with_tsa,
        "with_predeblur": with_predeblur,
        "hr_in": f"{prefix}predeblur.stride_conv_hr1.weight" in weights,
    }


def _infer_edvr(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        **infer_features(weights),
        "out_channels": weights["conv_last.weight"].shape[0],
        "num_blocks_reconstruction": count(weights, r"reconstruction\.(\d+)\."),
        "hr_channels": weights["conv_hr.weight"].shape[0],
    }


register_architecture(
    Architecture(
        name="EDVR",
        backbone="EDVR",
        detect=lambda names: {"feat_l2_conv1.conv.weight", "pcd_alignment.cas_dcnpack.weight"} <= names.keys(),
        infer=_infer_edvr,
        rules=(*EDVR_RULES, *UPSAMPLE_RULES),
        keywords={"center_frame_idx": None},
    )
)
