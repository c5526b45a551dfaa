"""VEnhancer: `venhancer_paper.pt`, `venhancer_v2.pt`, their fp16 safetensors; and the UNet or the ControlNet alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, register_architecture
from vrestore.errors import WeightsError
from vrestore.registry import ADAPTERS

CONTROL = "VideoControlNet."
# What shapes cannot tell.
KEYWORDS = {"head_dim": 64, "num_heads": None, "dropout": 0.1, "gradient_checkpointing": False, "chunk_tokens": None}


def infer_encoder(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of the `UNetEncoder` whose weights stand in `weights`."""
    first = weights["input_blocks.0.0.weight"]
    channels: list[list[int]] = [[]]  # of the residual blocks of each level
    attends: dict[int, bool] = {}
    number = 1
    while True:
        residual = weights.get(f"input_blocks.{number}.0.in_layers.2.weight")
        if residual is not None:
            channels[-1].append(residual.shape[0])
            attends[len(channels) - 1] = f"input_blocks.{number}.1.proj_in.weight" in weights
        elif f"input_blocks.{number}.op.weight" in weights:
            channels.append([])
        else:
            break
        number += 1
    return {
        "in_dim": first.shape[1],
        "dim": first.shape[0],
        "context_dim": weights["middle_block.1.transformer_blocks.0.attn2.to_k.weight"].shape[1],
        "dim_mult": tuple(level[0] // first.shape[0] for level in channels),
        "num_res_blocks": len(channels[0]),
        "attn_scales": tuple(0.5**level for level in attends if attends[level]),
    }


def _infer_unet(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    told = {**infer_encoder(weights), "out_dim": weights["out.2.weight"].shape[0]}
    if any(name.startswith(CONTROL) for name in weights):
        told["adapter"] = {"type": "VideoControlNet"}
    return told


def _count_heads(arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Add the number of heads of the first temporal transformer: its width tells, once the width of a head is known.

    Raises:
        WeightsError: the heads do not fit the widths that the weights show.
    """
    width, head_dim = weights["input_blocks.0.1.proj_in.weight"].shape[0], arguments["head_dim"]
    widths = [width, *(arguments["dim"] * mult for mult in arguments["dim_mult"])]
    if not isinstance(head_dim, int) or head_dim < 1 or any(w % head_dim for w in widths):
        shown = ", ".join(map(str, dict.fromkeys(widths)))
        raise WeightsError(
            f"head_dim={head_dim} does not divide the widths of the weights ({shown}); shapes cannot tell the channels "
            f"of a head: give load_network(…, head_dim=N) the N they were trained with"
        )
    if arguments["num_heads"] not in (None, width // head_dim):
        raise WeightsError(
            f"num_heads={arguments['num_heads']} contradicts the weights: their first temporal transformer is {width} "
            f"wide, which is {width // head_dim} heads of {head_dim}"
        )
    return {**arguments, "num_heads": width // head_dim}


def _has(weights: Mapping[str, Tensor], *names: str) -> bool:
    return set(names) <= weights.keys()


register_architecture(
    Architecture(
        name="VEnhancer",
        backbone="UNet3D",
        detect=lambda names: (
            _has(names, "input_blocks.0.1.proj_in.weight", "middle_block.3.in_layers.2.weight")
            and any(re.match(r"output_blocks\.\d+\.0\.temopral_conv\.", name) for name in names)
        ),
        infer=_infer_unet,
        keywords={**KEYWORDS, "adapter": None},  # told by the names of a ControlNet, not by those of another adapter
        complete=_count_heads,
    )
)

register_architecture(
    Architecture(
        name="VideoControlNet",
        backbone="VideoControlNet",
        detect=lambda names: (
            _has(names, "input_hint_block.weight", "scale_cond.0.weight", "zero_convs.0.0.weight")
            and not any(name.startswith("output_blocks.") for name in names)
        ),
        infer=infer_encoder,
        rules=((r"^VideoControlNet\.", ""),),
        keywords=KEYWORDS,
        complete=_count_heads,
        registry=ADAPTERS,
    )
)
