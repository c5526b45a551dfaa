"""VGG16 and VGG19 as torchvision releases them; of the whole network the convolutions are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, register_architecture

FIRST_OF_BLOCKS = {"vgg16": (0, 5, 10, 17, 24), "vgg19": (0, 5, 10, 19, 28)}


def _type_of(names: Mapping[str, Tensor]) -> str | None:
    last = {"vgg16": "features.28.weight", "vgg19": "features.34.weight"}
    if not {"features.0.weight", "features.2.weight", "features.5.weight"} <= names.keys():
        return None
    return next((kind for kind in ("vgg19", "vgg16") if last[kind] in names), None)


def _infer_vgg(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    kind = _type_of(weights)
    if kind is None:
        raise KeyError("features.34.weight")
    return {
        "vgg_type": kind,
        "channels": tuple(weights[f"features.{i}.weight"].shape[0] for i in FIRST_OF_BLOCKS[kind]),
    }


register_architecture(
    Architecture(
        name="VGG",
        backbone="VGGFeatures",
        detect=lambda names: _type_of(names) is not None,
        infer=_infer_vgg,
        others=r"^classifier\.",
    )
)
