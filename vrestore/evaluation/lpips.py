"""LPIPS: distance of deep features; through the `lpips` package, never from random weights."""

from __future__ import annotations

import hashlib
import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vrestore.errors import ConfigError, MissingDependencyError, NotMeasuredError, WeightsError, require
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_pair
from vrestore.registry import METRICS

# File of the ImageNet weights of torchvision's backbone (the name ends in the first digits of its SHA-256), and the
# builder in torchvision.models whose first use downloads it.
BACKBONES = {
    "alex": ("alexnet-owt-7be5be79.pth", "alexnet"),
    "vgg": ("vgg16-397923af.pth", "vgg16"),
    "squeeze": ("squeezenet1_1-b8a52dc0.pth", "squeezenet1_1"),
}
LEAST_SIDE_PX = 64


@METRICS.register_module()
class LPIPS(Metric):
    """Learned perceptual image patch similarity v0.1 (Zhang et al. 2018); lower is better.

    The linear heads come with the `lpips` package. The ImageNet backbone does not: it is looked for in
    `backbone_weights`, else in the cache of torch.hub, and where it is not there, the score is 'not measured'.

    Args:
        net: `alex` (the usual one for measuring), `vgg` or `squeeze`.
        backbone_weights: file with the backbone's state dict (torchvision's names; .pth or .safetensors).
        round_to_uint8: measure what a file of 8 bit would hold; otherwise the floats as they are.
        collect_device, prefix, collect_dir: of MMEngine's BaseMetric.
    """

    metric = "LPIPS"
    higher_is_better = False

    def __init__(
        self,
        net: str = "alex",
        backbone_weights: str | None = None,
        round_to_uint8: bool = True,
        **mmengine: Any,
    ):
        super().__init__(**mmengine)
        if net not in BACKBONES:
            raise ConfigError(f"LPIPS: net must be one of {', '.join(BACKBONES)}, got {net!r}")
        self.net, self.backbone_weights, self.round_to_uint8 = net, backbone_weights, bool(round_to_uint8)

    @property
    def name(self) -> str:
        return f"LPIPS-{self.net}{'' if self.round_to_uint8 else '-float'}"

    @property
    def protocol(self) -> dict[str, Any]:
        file = self.weights_file
        return self.base_protocol(
            colour="RGB",
            crop_border=0,
            rounding="uint8" if self.round_to_uint8 else "none",
            heads="lpips v0.1",
            precision="float32",
            weights=None if file is None else f"{self.net} {_file_hash(str(file), file.stat().st_mtime_ns)}",
        )

    @property
    def weights_file(self) -> Path | None:
        """Where the backbone's weights lie, or None."""
        if self.backbone_weights is not None:
            return Path(self.backbone_weights) if Path(self.backbone_weights).is_file() else None
        cached = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONES[self.net][0]
        return cached if cached.is_file() else None

    @torch.no_grad()
    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None) -> list[float]:
        hq_TCHW = check_pair(pred_TCHW, hq_TCHW, self.name)
        if min(pred_TCHW.shape[-2:]) < LEAST_SIDE_PX:
            h, w = pred_TCHW.shape[-2:]
            raise NotMeasuredError(f"LPIPS needs frames of at least {LEAST_SIDE_PX} pixels a side, got {w}x{h}")
        model = self._model.to(pred_TCHW.device)
        pairs = zip(pred_TCHW, hq_TCHW, strict=True)
        return [model(self._input(pred), self._input(hq.to(pred.device))).item() for pred, hq in pairs]

    def _input(self, frame_CHW: Tensor) -> Tensor:
        """(1, 3, H, W) in [-1, 1], as the lpips package takes it."""
        frame = frame_CHW.float()
        if self.round_to_uint8:
            frame = (frame.clamp(0, 1) * 255).round() / 255
        return (frame * 2 - 1)[None]

    @cached_property
    def _model(self) -> nn.Module:
        file = self.weights_file
        if file is None:
            raise NotMeasuredError(self._how_to_get_weights())
        try:
            lpips = require("lpips", "metrics", "LPIPS")
        except MissingDependencyError as error:
            raise NotMeasuredError(str(error)) from error
        weights = _read_state_dict(file)
        # The package draws random weights before it is given real ones, by an argument that torchvision is to drop.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = lpips.LPIPS(net=self.net, version="0.1", pnet_rand=True, verbose=False).eval()
        _load_backbone(model.net, weights, file.name)
        return model

    def _how_to_get_weights(self) -> str:
        file, builder = BACKBONES[self.net]
        if self.backbone_weights is not None:
            return f"LPIPS has no backbone weights: backbone_weights='{self.backbone_weights}' is not a file"
        return (
            f"LPIPS needs the ImageNet weights of its backbone, {file}, which are not in "
            f"{_short(torch.hub.get_dir())}/checkpoints; on a machine with a network connection run: python -c "
            f"\"import torchvision; torchvision.models.{builder}(weights='IMAGENET1K_V1')\", and copy the file there "
            f"or name it in LPIPS(backbone_weights=…)"
        )


def _load_backbone(net: nn.Module, given: dict[str, Tensor], file_name: str) -> None:
    """Fill every parameter of the package's sliced backbone from torchvision's `features.N.…`.

    Raises:
        WeightsError: they are not of this backbone.
    """
    wanted = net.state_dict()
    # The package cuts torchvision's `features` into slices and keeps the index: `slice3.6.bias` is `features.6.bias`.
    source = {name: f"features.{name.split('.', 1)[1]}" for name in wanted}
    for name, official in source.items():
        if official not in given or given[official].shape != wanted[name].shape:
            has = "which is missing" if official not in given else f"which is {tuple(given[official].shape)} there"
            raise WeightsError(
                f"{file_name} does not fit the LPIPS backbone: it must hold '{official}' of shape "
                f"{tuple(wanted[name].shape)}, {has}"
            )
    net.load_state_dict({name: given[official] for name, official in source.items()}, strict=True)


def _read_state_dict(file: Path) -> dict[str, Tensor]:
    """Backbone weights from a file, read without running any code in it.

    Raises:
        WeightsError: the file is damaged or holds something else.
    """
    digits = file.stem.rpartition("-")[2]
    known = file.name in {name for name, _ in BACKBONES.values()}
    if known and not _full_hash(file).startswith(digits):
        raise WeightsError(f"{file} is damaged: its SHA-256 does not start with {digits}; fetch it again")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(f"{file} cannot be read as backbone weights of LPIPS: {error}") from error


def _full_hash(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


_hashes: dict[tuple[str, int], str] = {}


def _file_hash(file: str, modified_ns: int) -> str:
    key = (file, modified_ns)
    if key not in _hashes:
        _hashes[key] = _full_hash(Path(file))[:12]
    return _hashes[key]


def _short(folder: str) -> str:
    """A folder with the home folder written as ~, as reports are passed on to others."""
    home = os.path.expanduser("~")
    return folder.replace(home, "~", 1) if folder.startswith(home) else folder
