"""RVRT: the release's models for super-resolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.families.basicvsr import SPYNET_RULES, infer_flow_network
from vrestore.errors import WeightsError

TRUNKS = ("feat_extract", "backbone.backward_1", "reconstruction")
INPUTS = ("feat_extract", "backbone.backward_1", "backbone.forward_1", "backbone.backward_2", "backbone.forward_2")
BLOCK = "main.5.0.residual_group.blocks.0."
ALIGN = "deform_align.backward_1."


def _infer(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = [f"{trunk}.{BLOCK}" for trunk in TRUNKS]
    tables = [weights[block + "attn.relative_position_bias_table"] for block in blocks]
    dims = [weights[f"{trunk}.main.1.weight"].shape[0] for trunk in TRUNKS]
    offset = weights[ALIGN + "conv_offset.0.weight"]
    told: dict[str, Any] = {
        "upscale": 2 ** (count(weights, r"upsampler\.(\d+)\.weight") - 1),
        "clip_size": (offset.shape[1] - dims[1]) // (dims[1] + 2),
        "num_blocks": [count(weights, rf"{trunk}\.main\.5\.(\d+)\.") for trunk in TRUNKS],
        "depths": [count(weights, rf"{trunk}\.main\.5\.0\.residual_group\.blocks\.(\d+)\.") for trunk in TRUNKS],
        "embed_dims": dims,
        "num_heads": [table.shape[1] for table in tables],
        "mlp_ratio": weights[blocks[1] + "mlp.fc1.weight"].shape[0] / dims[1],
        "inputconv_groups": _conv_groups(weights, dims[0]),
        "offset_channels": offset.shape[0],
        "upsample_channels": weights["conv_before_upsampler.0.weight"].shape[0],
    }
    window = _window(tables[0].shape[0], tables[1].shape[0])
    if window is not None:
        told["window_size"] = window
    return told | infer_flow_network(weights)


def _conv_groups(weights: Mapping[str, Tensor], channels: int) -> list[int]:
    inputs = [3, *(channels * (2 + i) for i in range(4)), channels * 5]
    firsts = [weights[f"{trunk}.main.1.weight"].shape[1] for trunk in (*INPUTS, "reconstruction")]
    return [whole // part for whole, part in zip(inputs, firsts, strict=True)]


def _window(one_frame: int, all_frames: int) -> list[int] | None:
    """(frames, rows, columns) of the windows whose bias tables have so many rows; None where they are not square."""
    side = math.isqrt(one_frame)
    if side * side != one_frame:
        return None
    return [(all_frames // one_frame + 1) // 2, (side + 1) // 2, (side + 1) // 2]


def _deformable_groups(arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the offsets' number tells, once the window that each group of channels sees is known."""
    values = weights[ALIGN + "conv_offset.10.weight"].shape[0]
    each = 2 * arguments["clip_size"] * math.prod(arguments["attention_window"])
    groups, rest = divmod(values, each)
    if rest or not groups:
        rows, columns = arguments["attention_window"]
        raise WeightsError(
            f"attention_window=({rows}, {columns}) contradicts the weights: {values} offsets are no multiple of the "
            f"{each} that a group needs"
        )
    if arguments["deformable_groups"] not in (None, groups):
        raise WeightsError(
            f"deformable_groups={arguments['deformable_groups']} contradicts the weights: their offsets are of {groups}"
        )
    return {**arguments, "deformable_groups": groups}


register_architecture(
    Architecture(
        name="RVRT",
        backbone="RVRT",
        detect=lambda names: (
            {"feat_extract.main.1.weight", ALIGN + "proj_q.1.weight", "conv_before_upsampler.0.weight"} <= names.keys()
        ),
        infer=_infer,
        rules=SPYNET_RULES,
        keywords={
            "attention_heads": 12,
            "attention_window": (3, 3),
            "deformable_groups": None,
            "window_size": (2, 8, 8),
            "spynet": None,
            "cpu_cache_length": 100,
        },
        constants=r"(^|\.)spynet\.(mean|std)$|\.relative_position_index$",
        complete=_deformable_groups,
        restorer={"type": "RegressionRestorer"},
    )
)
