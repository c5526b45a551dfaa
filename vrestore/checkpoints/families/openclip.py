"""OpenCLIP: the text tower of `open_clip_pytorch_model.bin` (ViT-H-14); the image tower beside it is left aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, count, register_architecture
from vrestore.registry import ADAPTERS

BLOCK = "transformer.resblocks.0."


def _infer(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    vocabulary, width = weights["token_embedding.weight"].shape
    return {
        "vocabulary": vocabulary,
        "length": weights["positional_embedding"].shape[0],
        "width": width,
        "layers": count(weights, r"transformer\.resblocks\.(\d+)\."),
        "hidden": weights[BLOCK + "mlp.c_fc.weight"].shape[0],
        "projection": weights["text_projection"].shape[1],
    }


register_architecture(
    Architecture(
        name="OpenCLIP text tower",
        backbone="OpenCLIPTextTower",
        detect=lambda names: (
            {"token_embedding.weight", "positional_embedding", "ln_final.weight", BLOCK + "attn.in_proj_weight"}
            <= names.keys()
        ),
        infer=_infer,
        rules=((r"^text\.", ""),),
        keywords={"heads": None, "layer": "penultimate"},
        others=r"^visual\.|(^|\.)attn_mask$",
        registry=ADAPTERS,
    )
)
