"""SpandrelImageNetwork: any single-image network whose weights spandrel recognises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import WeightsError, require
from vrestore.registry import BACKBONES

# Overlap of tiles where spandrel says that a model may be tiled; it tells no figure.
TILE_OVERLAP_PX = 16


@BACKBONES.register_module()
class SpandrelImageNetwork(nn.Module):
    """A network that its weights decide: architecture, sizes and rules are read from them by spandrel.

    Built from a config it is empty. `vrestore.load_restorer` hands it its weights, or `attach_weights` does. From then
    on it says what it is through the attributes of image networks: ``scale``, ``size_multiple``, ``least_size_px``,
    ``square``, ``in_channels``, ``out_channels``, ``dtypes``, ``tile_overlap_px``.

    It restores and is not trained: spandrel runs its models without gradients, and clamps what they make to [0, 1].
    """

    input = "image"

    def __init__(self) -> None:
        super().__init__()
        self._descriptor: Any = None

    def attach_weights(self, state_dict: Mapping[str, Any], source: str = "the weights") -> None:
        """Become the network that weights belong to.

        Args:
            state_dict: weights, as their release names them.
            source: where they come from, for the message.

        Raises:
            MissingDependencyError: spandrel is not installed.
            WeightsError: spandrel does not know them, they do not fit, or they are of a network that makes no frames of
                frames: for inpainting, or between grey and colour.
        """
        descriptor = describe(state_dict, source)
        channels = (descriptor.input_channels, descriptor.output_channels)
        if descriptor.purpose == "Inpainting":
            raise WeightsError(f"{source} is {descriptor.architecture.name}, which needs a mask for every frame")
        if channels not in ((3, 3), (1, 1)):
            raise WeightsError(
                f"{source} is {descriptor.architecture.name} with {channels[0]} channels in and {channels[1]} out; "
                f"frames have 3 (RGB), and networks from grey to grey are served too"
            )
        rules = descriptor.size_requirements
        self.model = descriptor.model.eval()
        self._descriptor = descriptor
        self.architecture = str(descriptor.architecture.name)
        self.scale = int(descriptor.scale)
        self.in_channels, self.out_channels = channels
        self.size_multiple, self.least_size_px, self.square = rules.multiple_of, max(rules.minimum, 1), rules.square
        half = (("bf16", descriptor.supports_bfloat16), ("fp16", descriptor.supports_half))
        self.dtypes = ("fp32", *(name for name, served in half if served))
        self.tile_overlap_px = TILE_OVERLAP_PX if descriptor.tiling.name == "SUPPORTED" else None

    def require_weights(self) -> None:
        """Refuse to be asked anything before it has its weights.

        Raises:
            WeightsError: says how to give it some.
        """
        if self._descriptor is None:
            raise WeightsError(
                "SpandrelImageNetwork has no weights yet, and they decide what it is: load it with "
                "vrestore.load_restorer and a weight file"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Restore images.

        Args:
            x: images (N, C, h, w) in [0, 1], whose sides keep the rules.

        Returns:
            Images (N, C, scale h, scale w) in [0, 1].

        Raises:
            WeightsError: there are no weights yet.
        """
        self.require_weights()
        # spandrel promises one image a call; how a model of its own calls itself may not take more.
        each = x.split(1) if len(x) > 1 and not self._takes_batches() else (x,)
        return torch.cat([self._descriptor(image) for image in each])

    def train(self, mode: bool = True) -> SpandrelImageNetwork:
        return super().train(False)

    def _takes_batches(self) -> bool:
        call = getattr(self._descriptor, "_call_fn", None)
        return getattr(call, "__qualname__", "").startswith("ImageModelDescriptor.")


def describe(state_dict: Mapping[str, Any], source: str) -> Any:
    """What spandrel makes of weights: its model descriptor.

    Raises:
        MissingDependencyError: spandrel is not installed.
        WeightsError: it knows no such architecture, or they do not fit.
    """
    spandrel = require("spandrel", "image", "a single-image network of another project")
    try:
        return spandrel.ModelLoader().load_from_state_dict(dict(state_dict))
    except spandrel.UnsupportedModelError:
        raise WeightsError(f"{source} belongs to no architecture that spandrel {spandrel.__version__} knows") from None
    except Exception as error:  # its architectures infer sizes from weights, and say in many ways that they do not fit
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{source} does not fit the architecture that spandrel takes it for: {reason}") from error


def recognise_image_network(state_dict: Mapping[str, Any]) -> str | None:
    """The architecture that spandrel takes weights for, by their names; None where it knows none.

    Raises:
        MissingDependencyError: spandrel is not installed.
    """
    spandrel = require("spandrel", "image", "a single-image network of another project")
    state = spandrel.canonicalize_state_dict(dict(state_dict))
    found = (
        support.architecture.name
        for support in spandrel.MAIN_REGISTRY.architectures("detection")
        if support.detect(state)
    )
    return next(found, None)
