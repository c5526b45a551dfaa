"""SwinIR: every variant of its release."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture

BLOCK = "layers.{}.residual_group.blocks.0."
NAMES = re.compile(
    r"(layers\.\d+\.(residual_group\.blocks\.\d+\."
    r"(norm[12]|attn_mask|attn\.(relative_position_(bias_table|index)|qkv|proj)|mlp\.fc[12])"
    r"|conv(\.[024])?)"
    r"|patch_embed\.norm|norm|conv_first|conv_after_body(\.[024])?|conv_before_upsample\.0|upsample\.\d+"
    r"|conv_(up1|up2|hr|last))(\.(weight|bias))?"
)


def _is_swinir(weights: Mapping[str, Tensor]) -> bool:
    told = {BLOCK.format(0) + "attn.relative_position_bias_table", "conv_first.weight", "norm.weight"}
    # HAT, DRCT, Swin2SR and others keep these names and add their own.
    return told <= weights.keys() and all(NAMES.fullmatch(name) for name in weights)


def _infer(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    groups = range(count(weights, r"layers\.(\d+)\."))
    tables = [weights[BLOCK.format(i) + "attn.relative_position_bias_table"] for i in groups]
    embed_dim, channels = weights["conv_first.weight"].shape[:2]
    window = (math.isqrt(tables[0].shape[0]) + 1) // 2
    told: dict[str, Any] = {
        "in_chans": channels,
        "embed_dim": embed_dim,
        "depths": [count(weights, rf"layers\.{i}\.residual_group\.blocks\.(\d+)\.") for i in groups],
        "num_heads": [table.shape[1] for table in tables],
        "window_size": window,
        "mlp_ratio": weights[BLOCK.format(0) + "mlp.fc1.weight"].shape[0] / embed_dim,
        "qkv_bias": BLOCK.format(0) + "attn.qkv.bias" in weights,
        "patch_norm": "patch_embed.norm.weight" in weights,
        "resi_connection": "3conv" if "conv_after_body.0.weight" in weights else "1conv",
        **_head(weights, channels),
    }
    masks = [value for name, value in weights.items() if name.endswith(".attn_mask")]
    if masks:  # one for each window of the training size, which was square
        told["img_size"] = math.isqrt(masks[0].shape[0]) * window
    elif any(name.endswith(".relative_position_index") for name in weights) and max(told["depths"], default=0) > 1:
        told["img_size"] = window  # no block shifts: the training size was a single window
    return told


def _head(weights: Mapping[str, Tensor], channels: int) -> dict[str, Any]:
    if "conv_up1.weight" in weights:
        return {"upsampler": "nearest+conv", "upscale": 4 if "conv_up2.weight" in weights else 2}
    if "conv_before_upsample.0.weight" in weights:
        steps = [value for name, value in weights.items() if re.fullmatch(r"upsample\.\d+\.weight", name)]
        factors = [math.isqrt(step.shape[0] // step.shape[1]) for step in steps]
        return {"upsampler": "pixelshuffle", "upscale": math.prod(factors)}
    if "upsample.0.weight" in weights:
        factor = math.isqrt(weights["upsample.0.weight"].shape[0] // channels)
        return {"upsampler": "pixelshuffledirect", "upscale": factor}
    return {"upsampler": "", "upscale": 1}


def _img_range(arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The official values: 255 of the models for JPEG artefacts, the only ones with windows of 7; else 1."""
    if arguments["img_range"] is not None:
        return arguments
    jpeg = arguments["upsampler"] == "" and arguments["window_size"] == 7
    return {**arguments, "img_range": 255.0 if jpeg else 1.0}


register_architecture(
    Architecture(
        name="SwinIR",
        backbone="SwinIR",
        detect=_is_swinir,
        infer=_infer,
        keywords={"img_range": None, "img_size": 64, "qk_scale": None, "drop_path_rate": 0.1},
        constants=r"\.(attn_mask|relative_position_index)$",
        complete=_img_range,
        restorer={"type": "FramewiseRestorer"},
    )
)
