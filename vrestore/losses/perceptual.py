"""PerceptualLoss: the distance of what a VGG sees in two pictures."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.vgg_layout import blocks_of, layer_numbers
from vrestore.registry import BACKBONES, LOSSES

CRITERIA = {"l1": F.l1_loss, "mse": F.mse_loss}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OFFICIAL = {
    "vgg16": "dict(url='https://download.pytorch.org/models/vgg16-397923af.pth', sha256='397923af')",
    "vgg19": "dict(url='https://download.pytorch.org/models/vgg19-dcbb9e9d.pth', sha256='dcbb9e9d')",
}
# Losses stand below the checkpoints, so that what places weights is asked for by name.
PLACE_WEIGHTS = "vrestore.checkpoints.zoo:fill_network"


@LOSSES.register_module()
class PerceptualLoss(nn.Module):
    """Distance of VGG features, weighted by layer (Johnson et al., ECCV 2016), and of their Gram matrices (style).

    The network is made and filled at the first use, or by `prepare`. It is frozen, in evaluation mode, no part of any
    state dict or optimiser, and follows the pictures to their device.

    Args:
        layer_weights: weight by layer: its number in torchvision's ``features`` (``'34'``), or its name before the
            activation (``'conv5_4'``, which is the same of VGG19).
        layer_weights_style: the same for the style; None takes `layer_weights`.
        weights: the network's weight file: a path, an address, or dict(file=…, url=…, sha256=…), as
            `vrestore.checkpoints.zoo.file_at` takes it; torchvision's release, with or without its classifier.
        vgg_type: ``vgg19`` or ``vgg16``.
        use_input_norm: bring pictures to ImageNet's mean and deviation.
        norm_img: pictures lie in [-1, 1] and are brought to [0, 1] first.
        perceptual_weight, style_weight: of the two distances; at 0 one is not computed.
        criterion: ``l1`` or ``mse``.
        loss_weight: factor of the sum.
        channels: features of the network's five blocks; None is the official ones.
        untrained: random weights, always the same, for tests.

    Raises:
        ConfigError: no weights, an unknown layer, type or criterion.
        WeightsError: from the first use: the weights are missing, cannot be downloaded, or are of another network.
    """

    def __init__(
        self,
        layer_weights: Mapping[str, float],
        weights: Any = None,
        layer_weights_style: Mapping[str, float] | None = None,
        vgg_type: str = "vgg19",
        use_input_norm: bool = True,
        norm_img: bool = False,
        perceptual_weight: float = 1.0,
        style_weight: float = 0.0,
        criterion: str = "l1",
        loss_weight: float = 1.0,
        channels: tuple[int, ...] | None = None,
        untrained: bool = False,
    ):
        super().__init__()
        blocks_of(vgg_type)  # refuses an unknown one
        if criterion not in CRITERIA:
            raise ConfigError(f"PerceptualLoss: criterion must be one of {', '.join(CRITERIA)}, got {criterion!r}")
        if weights is None and not untrained:
            raise ConfigError(
                f"PerceptualLoss needs the weights of its {vgg_type}: weights={OFFICIAL[vgg_type]}, or a file; "
                f"untrained=True takes random ones, for tests"
            )
        self.layer_weights = _numbered(layer_weights, vgg_type)
        self.style_layer_weights = _numbered(layer_weights_style or layer_weights, vgg_type)
        self.weights, self.vgg_type, self.untrained = weights, vgg_type, untrained
        self.use_input_norm, self.norm_img = use_input_norm, norm_img
        self.perceptual_weight, self.style_weight, self.loss_weight = perceptual_weight, style_weight, loss_weight
        self.channels = channels
        self.criterion = criterion
        # In a tuple, modules are no parts of this one: no state dict, optimiser, average or process exchange sees them.
        self._network: tuple[nn.Module, ...] = ()

    def prepare(self) -> None:
        """Make the network and place its weights, if that was not done.

        Raises:
            WeightsError: see above.
        """
        if self._network:
            return
        cfg: dict[str, Any] = {"type": "VGGFeatures", "vgg_type": self.vgg_type}
        cfg |= {} if self.channels is None else {"channels": tuple(self.channels)}
        with torch.random.fork_rng(devices=[]):  # neither the run nor its resumption notices
            torch.manual_seed(0)
            network = BACKBONES.build(cfg)
        if self.untrained:
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        else:
            pkgutil.resolve_name(PLACE_WEIGHTS)(network, self.weights, "the perceptual loss")
        self._network = (network.eval().requires_grad_(False),)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The sum of both distances.

        Args:
            prediction, target: frames (…, 3, H, W) in [0, 1]; no gradient flows to the target.
        """
        return torch.stack(list(self.parts(prediction, target).values())).sum()

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The distances by name, ``perceptual`` and ``style``, those whose weight is not 0."""
        wanted = {"perceptual": self.layer_weights} if self.perceptual_weight else {}
        wanted |= {"style": self.style_layer_weights} if self.style_weight else {}
        layers = {layer for weights in wanted.values() for layer in weights}
        if not layers:
            return {"perceptual": prediction.sum() * 0}
        seen = self._features(prediction, layers)
        with torch.no_grad():
            true = self._features(target.detach(), layers)
        parts = {}
        if "perceptual" in wanted:
            parts["perceptual"] = self.perceptual_weight * self._distance(self.layer_weights, seen, true)
        if "style" in wanted:
            grams = [{layer: gram(x) for layer, x in features.items()} for features in (seen, true)]
            parts["style"] = self.style_weight * self._distance(self.style_layer_weights, *grams)
        return {name: self.loss_weight * value for name, value in parts.items()}

    def _features(self, frames: Tensor, layers: set[int]) -> dict[int, Tensor]:
        self.prepare()
        (network,) = self._network
        if next(network.parameters()).device != frames.device:
            network.to(frames.device)
        x = frames.reshape(-1, *frames.shape[-3:]).float()
        if self.norm_img:
            x = (x + 1) / 2
        if self.use_input_norm:
            x = (x - x.new_tensor(IMAGENET_MEAN).view(3, 1, 1)) / x.new_tensor(IMAGENET_STD).view(3, 1, 1)
        return network(x, layers)

    def _distance(self, weights: dict[int, float], seen: dict[int, Tensor], true: dict[int, Tensor]) -> Tensor:
        distance = CRITERIA[self.criterion]
        each = [weight * distance(seen[layer].float(), true[layer].float()) for layer, weight in weights.items()]
        return torch.stack(each).sum()


def gram(features_NCHW: Tensor) -> Tensor:
    """Inner products of the channels (N, C, C), divided by C H W."""
    flat = features_NCHW.float().flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def _numbered(layer_weights: Mapping[str, float], vgg_type: str) -> dict[int, float]:
    """The weights by the number of the layer.

    Raises:
        ConfigError: a name that is no layer.
    """
    named, result = layer_numbers(vgg_type), {}
    for name, weight in layer_weights.items():
        number = int(name) if re.fullmatch(r"\d+", str(name)) else named.get(str(name), len(named))
        if number >= len(named):
            raise ConfigError(
                f"PerceptualLoss: {vgg_type} has no layer {name!r}; it has the numbers 0 to {len(named) - 1}, or "
                f"conv1_1 to {list(named)[-3]}"
            )
        result[number] = float(weight)
    if not result:
        raise ConfigError("PerceptualLoss: layer_weights names no layer; e.g. {'34': 1.0}")
    return result
