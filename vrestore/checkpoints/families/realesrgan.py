"""ESRGAN and Real-ESRGAN: RRDBNet, whose names BasicSR and MMagic share, and SRVGGNetCompact."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture

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
