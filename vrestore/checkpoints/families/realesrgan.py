"""ESRGAN and Real-ESRGAN: RRDBNet, whose names BasicSR and MMagic share, and SRVGGNetCompact."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.checkpoints.files import StateDict
from vrestore.checkpoints.ncnn import (
    NcnnMismatch,
    NcnnModel,
    register_ncnn_mapping,
    require_additions,
    require_counts,
    require_plain_convolutions,
    require_scale,
    state_dict_in_order,
)

logger = logging.getLogger("vrestore")

FRAMEWISE = {"type": "FramewiseRestorer"}


def _infer_rrdbnet(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    first, out_channels = weights["conv_first.weight"], weights["conv_last.weight"].shape[0]
    # At x2 and x1 the image comes folded, 4 or 16 times its channels; every release has as many in as out.
    factor = {4 * out_channels: 2, 16 * out_channels: 1}.get(first.shape[1], 4)
    return {
        "in_channels": first.shape[1] if factor == 4 else out_channels,
        "out_channels": out_channels,
        "mid_channels": first.shape[0],
        "num_blocks": count(weights, r"body\.(\d+)\."),
        "growth_channels": weights["body.0.rdb1.conv1.weight"].shape[0],
        "upscale_factor": factor,
    }


def _is_srvgg(weights: Mapping[str, Tensor]) -> bool:
    if "body.0.weight" not in weights or weights["body.0.weight"].ndim != 4:
        return False
    return all(re.fullmatch(r"body\.\d+\.(weight|bias)", name) for name in weights)


def _infer_srvgg(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    convolutions = {int(n.split(".")[1]): v for n, v in weights.items() if n.startswith("body.") and v.ndim == 4}
    first, last = convolutions[0], convolutions[max(convolutions)]
    told = {
        "in_channels": first.shape[1],
        "out_channels": first.shape[1],
        "mid_channels": first.shape[0],
        "num_convs": max(convolutions) // 2 - 1,
        "upscale_factor": math.isqrt(last.shape[0] // first.shape[1]),
    }
    return {**told, "act_type": "prelu"} if "body.1.weight" in weights else told


def _activation(arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Slopes tell PReLU; nothing tells the other two apart."""
    if arguments["act_type"] is not None:
        return arguments
    if _is_srvgg(weights):
        logger.warning(
            "these weights of SRVGGNetCompact do not tell their activation, which is taken for relu; "
            "act_type='leakyrelu' is the other"
        )
    return {**arguments, "act_type": "relu"}


register_architecture(
    Architecture(
        name="RRDBNet",
        backbone="RRDBNet",
        detect=lambda names: (
            {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight", "conv_last.weight"} <= names.keys()
        ),
        infer=_infer_rrdbnet,
        restorer=FRAMEWISE,
    )
)

register_architecture(
    Architecture(
        name="SRVGGNetCompact",
        backbone="SRVGGNetCompact",
        detect=_is_srvgg,
        infer=_infer_srvgg,
        keywords={"act_type": None},
        complete=_activation,
        restorer=FRAMEWISE,
    )
)


@register_ncnn_mapping("RRDBNet")
def _rrdbnet_of_ncnn(model: NcnnModel) -> StateDict:
    """RRDBNet at 4 times the size; the folded input of x2 and x1 is exported in no fixed way."""
    convolutions = require_plain_convolutions(model)
    blocks, rest = divmod(len(convolutions) - 6, 15)
    if blocks < 1 or rest:
        raise NcnnMismatch(f"{len(convolutions)} convolutions are not 15 for each block and 6 more")
    rdbs = 3 * blocks
    expected = {"Input": 1, "Convolution": 15 * blocks + 6, "Concat": 4 * rdbs, "Eltwise": rdbs + blocks, "BinaryOp": 1}
    require_counts(model, {**expected, "Interp": 2}, optional=("ReLU",))
    mid, channels = convolutions[0].shape[:2]
    growth = convolutions[1].shape[0]
    dense = [(growth, mid + i * growth) for i in range(4)] + [(mid, mid + 4 * growth)]
    sizes = [(mid, channels), *dense * rdbs, *[(mid, mid)] * 4, (channels, mid)]
    if [weight.shape for weight in convolutions] != [(*size, 3, 3) for size in sizes]:
        raise NcnnMismatch("the shapes of the convolutions are not those of residual dense blocks")
    slopes = [1.0, *([0.2] * 4 + [1.0]) * rdbs, 1.0, 0.2, 0.2, 0.2, 1.0]
    if not np.allclose(model.leaky_slopes(model.of_type("Convolution")), slopes):
        raise NcnnMismatch("the activations are not leaky ReLUs of slope 0.2 at the places of RRDBNet")
    require_additions(model)
    require_scale(model.of_type("Interp"), 2)
    body = [f"body.{i}.rdb{j}.conv{k}" for i in range(blocks) for j in (1, 2, 3) for k in range(1, 6)]
    names = ["conv_first", *body, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    return state_dict_in_order(model, names)


@register_ncnn_mapping("SRVGGNetCompact")
def _srvgg_of_ncnn(model: NcnnModel) -> StateDict:
    convolutions = require_plain_convolutions(model)
    depth = len(convolutions)
    kinds = [layer.type for layer in model.weighted()]
    if depth < 2 or kinds != [("Convolution", "PReLU")[i % 2] for i in range(2 * depth - 1)]:
        raise NcnnMismatch("its layers with weights are not convolutions alternating with PReLU")
    expected = {"Input": 1, "Convolution": depth, "PReLU": depth - 1, "PixelShuffle": 1, "BinaryOp": 1, "Interp": 1}
    if model.counts()["Interp"] == 2:
        raise NcnnMismatch(
            "the description resizes the output once more, which the network cannot; take the description of the "
            "network's own scale, whose weights are the same"
        )
    require_counts(model, expected)
    mid, channels = convolutions[0].shape[:2]
    scale = model.of_type("PixelShuffle")[0].integer(0, 1)
    sizes = [(mid, channels), *[(mid, mid)] * (depth - 2), (channels * scale**2, mid)]
    if [weight.shape for weight in convolutions] != [(*size, 3, 3) for size in sizes]:
        raise NcnnMismatch("the shapes of the convolutions do not follow from their number of channels and the scale")
    if any(layer.weight is None or layer.weight.shape != (mid,) for layer in model.of_type("PReLU")):
        raise NcnnMismatch(f"a PReLU does not have {mid} slopes")
    if set(model.leaky_slopes(model.of_type("Convolution"))) != {1.0}:
        raise NcnnMismatch("convolutions have fused activations")
    require_additions(model)
    require_scale(model.of_type("Interp"), scale)
    return state_dict_in_order(model, [f"body.{k}" for k in range(2 * depth - 1)])
