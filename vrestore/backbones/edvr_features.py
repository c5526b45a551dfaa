"""The part of EDVR that IconVSR shares: a window of frames -> one feature of its centre frame."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError, RequestError
from vrestore.layers.conv_act import ConvAct
from vrestore.layers.pcd_alignment import PCDAlignment
from vrestore.layers.predeblur import Predeblur
from vrestore.layers.residual import ResidualBlockNoBN, he_init
from vrestore.layers.tsa_fusion import TSAFusion


class EDVRFeatures(nn.Module):
    """Extract features of each frame, align them to the centre frame (PCD), fuse them (TSA, or one convolution).

    The parameter names are MMagic's; the predeblur module exists in BasicSR only, and keeps its names there.

    Args:
        in_channels: channels of the frames.
        mid_channels: feature channels.
        num_frames: frames of a window.
        deform_groups: groups of the deformable convolutions.
        num_blocks_extraction: residual blocks of the extraction.
        center_frame_idx: the frame to restore, counted from 0; None is the middle one.
        with_tsa: fuse by temporal and spatial attention; otherwise by a 1x1 convolution.
        with_predeblur: begin with the predeblur module.
        hr_in: the frames have the output's size, and features a quarter of it; only with the predeblur module.

    Raises:
        ConfigError: arguments that do not fit each other.
    """

    def __init__(
        self,
        in_channels: int = 3,
        mid_channels: int = 64,
        num_frames: int = 5,
        deform_groups: int = 8,
        num_blocks_extraction: int = 5,
        center_frame_idx: int | None = None,
        with_tsa: bool = True,
        with_predeblur: bool = False,
        hr_in: bool = False,
    ):
        super().__init__()
        center = num_frames // 2 if center_frame_idx is None else center_frame_idx
        if not 0 <= center < num_frames:
            raise ConfigError(f"center_frame_idx={center} must be a frame of the window, 0 to {num_frames - 1}")
        if hr_in and not with_predeblur:
            raise ConfigError("hr_in=True needs with_predeblur=True: the predeblur module is what shrinks the features")
        c = mid_channels
        self.num_frames = num_frames
        self.center_frame_idx = center
        self.hr_in = hr_in
        self.size_multiple = 16 if hr_in else 4
        self.predeblur: Predeblur | None = None
        if with_predeblur:
            self.predeblur = Predeblur(in_channels, c, hr_in)
            self.conv_1x1 = nn.Conv2d(c, c, 1)
        else:
            self.conv_first = nn.Conv2d(in_channels, c, 3, 1, 1)
        he_init(self.conv_1x1 if with_predeblur else self.conv_first, slope=0.1)
        self.feature_extraction = nn.Sequential(*(ResidualBlockNoBN(c) for _ in range(num_blocks_extraction)))
        self.feat_l2_conv1 = ConvAct(c, c, stride=2)
        self.feat_l2_conv2 = ConvAct(c, c)
        self.feat_l3_conv1 = ConvAct(c, c, stride=2)
        self.feat_l3_conv2 = ConvAct(c, c)
        for part in (self.feat_l2_conv1, self.feat_l2_conv2, self.feat_l3_conv1, self.feat_l3_conv2):
            he_init(part, slope=0.1)
        self.pcd_alignment = PCDAlignment(c, deform_groups)
        self.fusion: nn.Module
        if with_tsa:
            self.fusion = TSAFusion(c, num_frames, center)
        else:
            self.fusion = nn.Conv2d(num_frames * c, c, 1)
            he_init(self.fusion)

    def forward(self, lq: Tensor) -> Tensor:
        """Fused features of the centre frame.

        Args:
            lq: windows (B, T, in_channels, h, w) with T = `num_frames` and sides that are multiples of 4 (16 with
                `hr_in`), RGB in [0, 1].

        Returns:
            Features (B, mid_channels, h, w), or (B, mid_channels, h/4, w/4) with `hr_in`.

        Raises:
            RequestError: another number of frames, or sides that are no such multiples.
        """
        self._check(lq)
        pyramid = self.pyramid(lq)
        center = [level[:, self.center_frame_idx] for level in pyramid]
        aligned = torch.stack(
            [self.pcd_alignment([level[:, i] for level in pyramid], center) for i in range(self.num_frames)], dim=1
        )
        return self.fusion(aligned if isinstance(self.fusion, TSAFusion) else aligned.flatten(1, 2))

    def pyramid(self, lq: Tensor) -> list[Tensor]:
        """Features of every frame at three levels: (B, T, C, h, w), (B, T, C, h/2, w/2), (B, T, C, h/4, w/4)."""
        b, t = lq.shape[:2]
        frames = lq.flatten(0, 1)
        if self.predeblur is not None:
            level1 = self.conv_1x1(self.predeblur(frames))
        else:
            level1 = F.leaky_relu(self.conv_first(frames), 0.1)
        level1 = self.feature_extraction(level1)
        level2 = self.feat_l2_conv2(self.feat_l2_conv1(level1))
        level3 = self.feat_l3_conv2(self.feat_l3_conv1(level2))
        return [level.unflatten(0, (b, t)) for level in (level1, level2, level3)]

    def _check(self, lq: Tensor) -> None:
        name = type(self).__name__
        if lq.ndim != 5 or lq.shape[1] != self.num_frames:
            raise RequestError(
                f"{name} takes windows (B, T, C, h, w) of exactly {self.num_frames} frames, got {tuple(lq.shape)}; "
                f"SlidingWindowRestorer restores clips of any length with it"
            )
        h, w = lq.shape[-2:]
        if h % self.size_multiple or w % self.size_multiple or 0 in (h, w):
            raise RequestError(
                f"{name} takes frames whose sides are multiples of {self.size_multiple}, got {w}x{h} (width x height); "
                f"SlidingWindowRestorer pads them and crops the result"
            )
