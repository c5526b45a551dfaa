"""FramewiseRestorer: a network for single images, run over every frame of a clip."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.padding import pad_to_size
from vrestore.registry import MODELS
from vrestore.restorers.base import WeightFiles, resize_to
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.regression import RegressionRestorer
from vrestore.restorers.request import Request
from vrestore.restorers.stabiliser import TemporalStabiliser

GREY_RULES = ("luma", "channels")
LUMA = (0.299, 0.587, 0.114)  # BT.601


@MODELS.register_module()
class FramewiseRestorer(RegressionRestorer):
    """Each frame on its own through an image network, some frames at a time; trained with a pixel loss.

    What the network says of itself becomes the capabilities: ``scale``, ``size_multiple``, ``least_size_px`` and
    ``square`` (frames are mirrored up to a size that it takes, and the result is cropped), ``dtypes``,
    ``tile_overlap_px``, ``in_channels``. What it does not say is taken for: any size, every precision, no tiles.

    A network for grey images gets the frames by `grey`: ``luma`` restores the luma (BT.601) and keeps the colour
    differences, resampled bicubically where the network enlarges; ``channels`` restores red, green and blue each as a
    grey image.

    Args:
        backbone: config of the network (BACKBONES): ``net(x_NCHW) -> y_NCHW``. ``dict(type='SpandrelImageNetwork')`` is
            whatever its weights are of.
        pixel_loss: config of the loss between prediction and clean frames (LOSSES).
        weights: the network's weight file, which `vrestore.load_restorer` loads; or several with their shares,
            ``[(file, 0.3), (file, 0.7)]``, interpolated: Real-ESRGAN's denoising strength.
        batch_frames: frames restored at a time; more are faster on a GPU and take more memory.
        grey: what a network with one channel gets, ``luma`` or ``channels``.
        size_multiple, least_size_px: in place of what the network says.
        tile_overlap_px: in place of what the network says.
        stabiliser: arguments of a `TemporalStabiliser`, which blends each restored frame with its motion-compensated
            neighbours, e.g. ``dict(strength=1.0)``; None and strength 0 are off. With it a frame depends on its
            neighbours (`Capabilities.context_frames`), and spatial tiles are not served. ``flow_weights`` beside them
            is the weight file of its flow network.
        weights_licence: licence of the weights in use, shown with the capabilities.

    Raises:
        ConfigError: no frame at a time, an unknown rule for grey, or a network that takes anything but images.
    """

    network_input = "image"

    def __init__(
        self,
        backbone: dict,
        pixel_loss: dict | None = None,
        weights: WeightFiles | None = None,
        batch_frames: int = 1,
        grey: str = "luma",
        size_multiple: int | None = None,
        least_size_px: int | None = None,
        tile_overlap_px: int | None = None,
        stabiliser: dict | None = None,
        weights_licence: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(
            backbone,
            pixel_loss,
            weights_licence=weights_licence,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        if isinstance(batch_frames, bool) or not isinstance(batch_frames, int) or batch_frames < 1:
            raise ConfigError(f"FramewiseRestorer: batch_frames must be a whole number >= 1, got {batch_frames!r}")
        if grey not in GREY_RULES:
            raise ConfigError(f"FramewiseRestorer: grey must be one of {', '.join(GREY_RULES)}, got {grey!r}")
        self.weight_files = {} if weights is None else {"backbone": weights}
        self.batch_frames, self.grey = batch_frames, grey
        options = dict(stabiliser or {})
        if (flow_weights := options.pop("flow_weights", None)) is not None:
            self.weight_files["stabiliser.flow"] = flow_weights
        self.stabiliser = None if stabiliser is None else TemporalStabiliser(**options)
        self._given = {
            "size_multiple": size_multiple,
            "least_size_px": least_size_px,
            "tile_overlap_px": tile_overlap_px,
        }

    @property
    def capabilities(self) -> Capabilities:
        scale = float(self._told("scale", 1))
        context = 0 if self.stabiliser is None else self.stabiliser.context_frames
        # A smaller frame is mirrored up to the network's least size, not refused.
        return Capabilities(
            spatial_scales=Scales(fixed=(scale,)),
            default_scale=scale,
            size_multiple=self._told("size_multiple", 1),
            context_frames=context,
            tile_overlap_px=None if context else self._told("tile_overlap_px", None),
            chunk_overlap_frames=context or None,
            dtypes=tuple(self._told("dtypes", ("fp32", "bf16", "fp16"))),
            weights_licence=self._weights_licence,
        )

    def pad(self, frames_TCHW: Tensor) -> Tensor:
        multiple, least = self._told("size_multiple", 1), self._told("least_size_px", 1)
        height, width = (-(-max(side, least) // multiple) * multiple for side in frames_TCHW.shape[-2:])
        if self._told("square", False):
            height = width = max(height, width)
        return pad_to_size(frames_TCHW, height, width)

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        restored = torch.cat([self._restore_images(batch) for batch in frames_TCHW.split(self.batch_frames)])
        return restored if self.stabiliser is None else self.stabiliser(frames_TCHW, restored)

    def run_network(self, lq: Tensor) -> Tensor:
        return self._restore_images(lq.flatten(0, 1)).unflatten(0, lq.shape[:2])

    def _restore_images(self, x_NCHW: Tensor) -> Tensor:
        channels = self._told("in_channels", 3)
        if channels == 3:
            return self.backbone(x_NCHW)
        if channels != 1:
            raise ConfigError(
                f"{type(self.backbone).__name__} takes {channels} channels; frames have 3 (RGB), and a network for "
                f"grey images takes 1"
            )
        if self.grey == "channels":
            return self.backbone(x_NCHW.flatten(0, 1)[:, None]).unflatten(0, (len(x_NCHW), 3)).squeeze(2)
        return self._restore_luma(x_NCHW)

    def _restore_luma(self, x_NCHW: Tensor) -> Tensor:
        luma = (x_NCHW * x_NCHW.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        restored = self.backbone(luma)
        size = restored.shape[-2:]
        if size != luma.shape[-2:]:
            x_NCHW, luma = resize_to(x_NCHW, size), resize_to(luma, size)
        # Red, green and blue all grow by what the luma grows while the colour differences stay.
        return x_NCHW + (restored - luma)

    def _told(self, name: str, default: Any) -> Any:
        """What the config says of the network, else what it says of itself."""
        if self._given.get(name) is not None:
            return self._given[name]
        if hasattr(self.backbone, "require_weights"):
            self.backbone.require_weights()
        return getattr(self.backbone, name, default)
