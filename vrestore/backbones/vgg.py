"""The convolutions of VGG16 and VGG19 (Simonyan and Zisserman, ICLR 2015), with torchvision's parameter names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.vgg_layout import blocks_of
from vrestore.registry import BACKBONES


@BACKBONES.register_module()
class VGGFeatures(nn.Module):
    """What a VGG sees at its layers: ``features.N`` of torchvision's release, without the classifier.

    Args:
        vgg_type: ``vgg16`` or ``vgg19``.
        channels: features of each block; the official ones are the default.

    Raises:
        ConfigError: an unknown type, or not five widths.
    """

    input = "feature"  # no restorer runs it

    def __init__(self, vgg_type: str = "vgg19", channels: Sequence[int] = (64, 128, 256, 512, 512)):
        super().__init__()
        blocks = blocks_of(vgg_type)
        if len(channels) != len(blocks):
            raise ConfigError(f"VGGFeatures: channels must be {len(blocks)} widths, got {channels!r}")
        layers: list[nn.Module] = []
        before = 3
        for width, convs in zip(channels, blocks, strict=True):
            for _ in range(convs):
                layers += [nn.Conv2d(before, width, 3, 1, 1), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)

    def forward(self, x_NCHW: Tensor, layers: Iterable[int]) -> dict[int, Tensor]:
        """
        Args:
            x_NCHW: pictures (N, 3, H, W), normalised as ImageNet's are.
            layers: numbers of layers in ``features``, from 0.

        Returns:
            The outputs of these layers; what comes after the last of them is not computed.
        """
        wanted = set(layers)
        found = {}
        for i, layer in zip(range(max(wanted) + 1), self.features, strict=False):
            x_NCHW = layer(x_NCHW)
            if i in wanted:
                found[i] = x_NCHW
        return found
