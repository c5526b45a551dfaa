"""EDVR (Wang et al., CVPRW 2019, arXiv 1905.02716), with the parameter names of MMagic's release."""

from __future__ import annotations

import torch.nn as nn
from torch import Tensor

from vrestore.backbones.edvr_features import EDVRFeatures
from vrestore.errors import ConfigError
from vrestore.layers.residual import ResidualBlockNoBN
from vrestore.layers.tail import UpsamplingTail, bilinear_x4
from vrestore.registry import BACKBONES


@BACKBONES.register_module()
class EDVR(EDVRFeatures, UpsamplingTail):
    """Restore the centre frame of a window from all its frames, aligned by deformable convolutions; x4, or x1 (deblur).

    The defaults are EDVR-M; EDVR-L is ``mid_channels=128, num_blocks_reconstruction=40``.

    Args:
        in_channels: channels of the frames.
        out_channels: channels of the result, as many.
        mid_channels: feature channels (M: 64, L: 128).
        num_frames: frames of a window (REDS: 5, Vimeo-90K: 7).
        deform_groups: groups of the deformable convolutions.
        num_blocks_extraction: residual blocks before the alignment.
        num_blocks_reconstruction: residual blocks after the fusion (M: 10, L: 40).
        center_frame_idx: the frame to restore, counted from 0; None is the middle one.
        with_tsa: fuse by temporal and spatial attention; otherwise by a 1x1 convolution.
        with_predeblur: begin with the predeblur module (BasicSR only).
        hr_in: frames of the output's size, for deblurring; needs `with_predeblur`.
        hr_channels: feature channels after the second upsampling (official: 64).

    Attributes:
        scale: 4, or 1 with `hr_in`.
        size_multiple: what the sides must be a multiple of: 4, or 16 with `hr_in`.

    Raises:
        ConfigError: arguments that do not fit each other.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        mid_channels: int = 64,
        num_frames: int = 5,
        deform_groups: int = 8,
        num_blocks_extraction: int = 5,
        num_blocks_reconstruction: int = 10,
        center_frame_idx: int | None = None,
        with_tsa: bool = True,
        with_predeblur: bool = False,
        hr_in: bool = False,
        hr_channels: int = 64,
    ):
        super().__init__(
            in_channels=in_channels,
            mid_channels=mid_channels,
            num_frames=num_frames,
            deform_groups=deform_groups,
            num_blocks_extraction=num_blocks_extraction,
            center_frame_idx=center_frame_idx,
            with_tsa=with_tsa,
            with_predeblur=with_predeblur,
            hr_in=hr_in,
        )
        if in_channels != out_channels:
            raise ConfigError(
                f"out_channels={out_channels} must be in_channels={in_channels}: EDVR adds to the centre frame"
            )
        self.scale = 1 if hr_in else 4
        self.reconstruction = nn.Sequential(
            *(ResidualBlockNoBN(mid_channels) for _ in range(num_blocks_reconstruction))
        )
        self._add_tail(mid_channels, hr_channels, out_channels)

    def forward(self, lq: Tensor) -> Tensor:
        """Restore the centre frame.

        Args:
            lq: windows (B, T, in_channels, h, w) with T = `num_frames` and sides that are multiples of `size_multiple`,
                in [0, 1].

        Returns:
            The centre frame (B, out_channels, scale * h, scale * w), not clamped.

        Raises:
            RequestError: another number of frames, or sides that are no such multiples.
        """
        features = self.reconstruction(super().forward(lq))
        center = lq[:, self.center_frame_idx]
        return self._tail(features, center if self.hr_in else bilinear_x4(center))
