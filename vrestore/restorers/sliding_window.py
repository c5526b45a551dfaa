"""SlidingWindowRestorer: a network that restores the centre of a window, run over every frame of a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import BACKBONES, LOSSES, MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.request import Request
from vrestore.restorers.window_padding import check_rule, window_indices, window_reach


@MODELS.register_module()
class SlidingWindowRestorer(BaseRestorer):
    """Every frame from the window of frames around it; trained to the clean centre frame of drawn windows.

    Args:
        backbone: config of the network (BACKBONES): ``net(lq_BTCHW) -> hq_BCHW``, with the attributes ``num_frames``
            and, where they are not the middle, 4 and 1, ``center_frame_idx``, ``scale`` and ``size_multiple``.
        pixel_loss: config of the loss between prediction and clean centre frame (LOSSES).
        padding: which frames stand for those beyond the ends of a clip: ``replicate``, ``reflection``,
            ``reflection_circle`` (BasicSR's for super-resolution) or ``circle`` (see `window_indices`).
        window_batch: windows restored at a time; more are faster on a GPU and take more memory.
        least_size_px: smallest side of an input frame.
        weights_licence: licence of the weights in use, shown with the capabilities.

    Raises:
        ConfigError: an unknown padding, no window at a time, or a network without windows.
    """

    def __init__(
        self,
        backbone: dict,
        pixel_loss: dict | None = None,
        padding: str = "reflection_circle",
        window_batch: int = 1,
        least_size_px: int = 8,
        weights_licence: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        check_rule(padding)
        if window_batch < 1:
            raise ConfigError(f"window_batch must be at least 1, got {window_batch}")
        self.backbone = BACKBONES.build(backbone)
        if not hasattr(self.backbone, "num_frames"):
            raise ConfigError(
                f"{type(self.backbone).__name__} has no attribute 'num_frames', so it restores no windows; "
                f"RegressionRestorer runs networks that take whole clips"
            )
        self.pixel_loss = LOSSES.build(pixel_loss or {"type": "CharbonnierLoss"})
        self.padding = padding
        self.window_batch = window_batch
        self._least_size_px = least_size_px
        self._weights_licence = weights_licence

    @property
    def num_frames(self) -> int:
        return self.backbone.num_frames

    @property
    def center_frame_idx(self) -> int:
        return getattr(self.backbone, "center_frame_idx", self.num_frames // 2)

    @property
    def capabilities(self) -> Capabilities:
        scale = float(getattr(self.backbone, "scale", 1))
        # So many frames make blocks exact, those at the ends of the clip and of one kept frame too.
        reach = window_reach(self.num_frames, self.padding, self.center_frame_idx)
        return Capabilities(
            spatial_scales=Scales(fixed=(scale,)),
            default_scale=scale,
            size_multiple=getattr(self.backbone, "size_multiple", 4),
            least_size_px=self._least_size_px,
            context_frames=reach,
            chunk_overlap_frames=reach,
            dtypes=("fp32", "bf16", "fp16"),
            weights_licence=self._weights_licence,
        )

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        t = len(frames_TCHW)
        indices = torch.tensor(
            [window_indices(i, t, self.num_frames, self.padding, self.center_frame_idx) for i in range(t)],
            device=frames_TCHW.device,
        )
        return torch.cat([self.backbone(frames_TCHW[some]) for some in indices.split(self.window_batch)])

    def loss(self, lq: Tensor, hq: Tensor, record: list | None = None) -> dict[str, Tensor]:
        """The loss on the centre frame.

        Args:
            lq: degraded windows (B, T, 3, h, w) with T = ``num_frames`` of the network.
            hq: clean windows (B, T, 3, H, W), or their centre frames alone (B, 1, 3, H, W).
            record: not used.

        Raises:
            ConfigError: the data's frames or scale are not the network's.
        """
        frames = self.num_frames
        if lq.shape[1] != frames or hq.shape[1] not in (1, frames):
            raise ConfigError(
                f"the network takes windows of {frames} frames and gives their frame {self.center_frame_idx}; the data "
                f"has {lq.shape[1]} degraded and {hq.shape[1]} clean frames a clip: draw clips of {frames} frames"
            )
        target = hq[:, 0 if hq.shape[1] == 1 else self.center_frame_idx]
        prediction = self.backbone(lq)
        if prediction.shape != target.shape:
            raise ConfigError(
                f"the network makes {tuple(prediction.shape)} (B, C, H, W) of {tuple(lq.shape)}, the clean frames are "
                f"{tuple(target.shape)}: the data's scale and the network's scale differ"
            )
        return {"loss_pixel": self.pixel_loss(prediction, target)}
