"""RegressionRestorer: one network trained with a pixel loss."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import BACKBONES, LOSSES, MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.request import Request


@MODELS.register_module()
class RegressionRestorer(BaseRestorer):
    """A clip-to-clip network, trained to the clean clip and run in one pass.

    Args:
        backbone: config of the network (BACKBONES): ``net(lq_BTCHW) -> hq_BTCHW``.
        pixel_loss: config of the loss between prediction and clean clip (LOSSES).
        auxiliary_losses: configs of losses over what the network returns beside its frames, by name. The network is
            then called with ``return_intermediates=True`` and each loss as ``loss(intermediates, lq, hq)``.
        size_multiple: pixels that height and width must be a multiple of; the frames are padded and cropped back. None
            is what the network declares as its own ``size_multiple``, or 1.
        frames_multiple: what the number of frames must be a multiple of; the clip is mirrored at its end and the rest
            dropped again. None is what the network declares as its own ``frames_multiple``, or 1.
        least_size_px: smallest side of an input frame.
        chunk_overlap_frames: frames of context on either side with which a clip may be restored in blocks; None means
            the network sees whole clips. A recurrent network forgets: the figure belongs to its weights, measured.
            Blocks are cut by `vrestore.restore_video` and `vrestore.restore_clip`; `restore` itself runs whole clips.
        chunk_drift_db: PSNR in dB between a clip restored in such blocks and restored whole, as measured
            (tools/benchmarks/chunk_drift.py).
        weights_licence: licence of the weights in use, shown with the capabilities.

    Raises:
        ConfigError: the network takes something else than clips.
    """

    network_input = "clip"

    def __init__(
        self,
        backbone: dict,
        pixel_loss: dict | None = None,
        auxiliary_losses: dict[str, dict] | None = None,
        size_multiple: int | None = None,
        frames_multiple: int | None = None,
        least_size_px: int = 8,
        chunk_overlap_frames: int | None = None,
        chunk_drift_db: float | None = None,
        weights_licence: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = BACKBONES.build(backbone)
        kind = getattr(self.backbone, "input", self.network_input)
        if isinstance(kind, str) and kind != self.network_input:
            raise ConfigError(
                f"{type(self).__name__} runs networks for {self.network_input}s; {type(self.backbone).__name__} is one "
                f"for {kind}s (FramewiseRestorer: images, RegressionRestorer: clips, SlidingWindowRestorer: windows)"
            )
        self.pixel_loss = LOSSES.build(pixel_loss or {"type": "CharbonnierLoss"})
        self.auxiliary_losses = nn.ModuleDict({k: LOSSES.build(v) for k, v in (auxiliary_losses or {}).items()})
        own_multiple = getattr(self.backbone, "size_multiple", 1)
        self._size_multiple = own_multiple if size_multiple is None else size_multiple
        own_multiple = getattr(self.backbone, "frames_multiple", 1)
        self._frames_multiple = own_multiple if frames_multiple is None else frames_multiple
        self._least_size_px = least_size_px
        self._chunk_overlap_frames = chunk_overlap_frames
        self._chunk_drift_db = chunk_drift_db
        self._weights_licence = weights_licence

    @property
    def capabilities(self) -> Capabilities:
        scale = float(getattr(self.backbone, "scale", 1))
        return Capabilities(
            spatial_scales=Scales(fixed=(scale,)),
            default_scale=scale,
            size_multiple=self._size_multiple,
            least_size_px=self._least_size_px,
            frames_multiple=self._frames_multiple,
            context_frames=getattr(self.backbone, "context_frames", None),
            chunk_overlap_frames=self._chunk_overlap_frames,
            chunk_drift_db=self._chunk_drift_db,
            dtypes=("fp32", "bf16", "fp16"),
            weights_licence=self._weights_licence,
        )

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        return self.run_network(frames_TCHW.unsqueeze(0)).squeeze(0)

    def run_network(self, lq: Tensor) -> Tensor:
        """Clips (B, T, 3, h, w) through the network."""
        return self.backbone(lq)

    def loss(self, lq: Tensor, hq: Tensor, record: list | None = None) -> dict[str, Tensor]:
        return self.regression_losses(*self.predict_clips(lq), lq, hq)

    def predict_clips(self, lq: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Restored clips, and what the network returns beside them where a loss asks for it."""
        if not self.auxiliary_losses:
            return self.run_network(lq), {}
        return self.backbone(lq, return_intermediates=True)

    def regression_losses(
        self,
        prediction: Tensor,
        intermediates: dict[str, Tensor],
        lq: Tensor,
        hq: Tensor,
        targets: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> dict[str, Tensor]:
        """Pixel and auxiliary losses of a prediction; `targets` are clean clips for single losses in place of `hq`."""
        if prediction.shape != hq.shape:
            raise ConfigError(
                f"the network makes {tuple(prediction.shape)} (B, T, C, H, W) of {tuple(lq.shape)}, the clean clips "
                f"are {tuple(hq.shape)}: the data's scale and the network's scale differ"
            )
        losses = {"loss_pixel": self.pixel_loss(prediction, hq)}
        for name, auxiliary in self.auxiliary_losses.items():
            losses[f"loss_{name}"] = auxiliary(intermediates, lq, targets.get(name, hq))
        return losses
