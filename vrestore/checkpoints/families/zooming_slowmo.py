"""Zooming Slow-Mo: weights of its release, whose names are ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture

RECURRENCE = "ConvBLSTM.forward_net.cell_list.0.conv.weight"
TAPS_AND_COORDINATES = 27  # of a deformable 3x3 convolution: two offsets and a weight a tap


def infer_encoder(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments that Zooming Slow-Mo and VideoINR share."""
    offsets = weights["pcd_align.L3_dcnpack_1.conv_offset_mask.weight"].shape[0]
    return {
        "mid_channels": weights["conv_first.weight"].shape[0],
        "deform_groups": offsets // TAPS_AND_COORDINATES,
        "front_blocks": count(weights, r"feature_extraction\.(\d+)\."),
        "back_blocks": count(weights, r"recon_trunk\.(\d+)\."),
        "hr_channels": weights["HRconv.weight"].shape[0],
    }


register_architecture(
    Architecture(
        name="ZoomingSlowMo",
        backbone="ZoomingSlowMo",
        detect=lambda names: RECURRENCE in names and not any("_imnet." in name for name in names),
        infer=infer_encoder,
        restorer={"type": "SpaceTimeRestorer"},
    )
)
