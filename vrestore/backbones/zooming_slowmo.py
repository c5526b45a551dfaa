"""Zooming Slow-Mo (Xiang et al., CVPR 2020, arXiv 2002.11616), with the parameter names of its release."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.deform_lstm import BidirectionalDeformLSTM
from vrestore.layers.pyramid import FeaturePyramid, MutualAlignment, lrelu
from vrestore.layers.residual import ResidualBlockNoBN, he_init
from vrestore.registry import BACKBONES


class SpaceTimeFeatures(FeaturePyramid):
    """Features of N frames and of the N - 1 moments between them, each of the whole clip.

    Frames between are made of their neighbours' features, aligned by deformable convolutions; a bidirectional
    deformable LSTM then runs over all of them, and residual blocks refine each.

    Args:
        mid_channels: feature channels.
        deform_groups: groups of channels that share an offset.
        front_blocks: residual blocks of the frames' features.
        back_blocks: residual blocks behind the recurrence.
        hr_channels: feature channels after the second upsampling.
    """

    least_multiple = 4

    def __init__(
        self,
        mid_channels: int = 64,
        deform_groups: int = 8,
        front_blocks: int = 5,
        back_blocks: int = 40,
        hr_channels: int = 64,
    ):
        super().__init__(mid_channels)
        self.mid_channels = mid_channels
        self.conv_first = nn.Conv2d(3, mid_channels, 3, 1, 1)
        self.feature_extraction = nn.Sequential(*(ResidualBlockNoBN(mid_channels) for _ in range(front_blocks)))
        self.pcd_align = MutualAlignment(mid_channels, deform_groups)
        self.fusion = nn.Conv2d(2 * mid_channels, mid_channels, 1, 1)
        self.ConvBLSTM = BidirectionalDeformLSTM(mid_channels, deform_groups)
        self.recon_trunk = nn.Sequential(*(ResidualBlockNoBN(mid_channels) for _ in range(back_blocks)))
        self.upconv1 = nn.Conv2d(mid_channels, 4 * mid_channels, 3, 1, 1)
        self.upconv2 = nn.Conv2d(mid_channels, 4 * hr_channels, 3, 1, 1)
        self.HRconv = nn.Conv2d(hr_channels, hr_channels, 3, 1, 1)
        self.conv_last = nn.Conv2d(hr_channels, 3, 3, 1, 1)
        for part in (self.conv_first, self.upconv1, self.upconv2, self.HRconv):
            he_init(part, slope=0.1)

    def features(self, lq: Tensor) -> list[Tensor]:
        """2N - 1 maps (B, C, h, w): of frame 0, of the moment between, of frame 1, …

        Args:
            lq: frames (B, N, 3, h, w), N >= 1, sides multiples of 4.

        Raises:
            ValueError: frames that it cannot take.
        """
        h, w = lq.shape[-2:]
        if h % self.least_multiple or w % self.least_multiple:
            raise ValueError(
                f"{type(self).__name__} takes frames whose height and width are multiples of {self.least_multiple}, "
                f"got {h}x{w}; pad them, or use a restorer, which pads and crops back"
            )
        # frame by frame and pair by pair: of a long clip, only what is needed later stays in memory
        pyramids = [self.pyramid(self._own_features(frame)) for frame in lq.unbind(1)]
        ordered = [pyramids[0][0]]
        for first, second in pairwise(pyramids):
            ordered += [self.fusion(self.pcd_align(first, second)), second[0]]
        return self.ConvBLSTM(ordered)

    def _own_features(self, frame: Tensor) -> Tensor:
        return self.feature_extraction(lrelu(self.conv_first(frame)))


@BACKBONES.register_module()
class ZoomingSlowMo(SpaceTimeFeatures):
    """N frames in, 2N - 1 frames of four times the size out: those given and those halfway between.

    Args:
        mid_channels: feature channels (official: 64).
        deform_groups: groups of channels that share an offset (official: 8).
        front_blocks: residual blocks of the frames' features (official: 5).
        back_blocks: residual blocks behind the recurrence (official: 40).
        hr_channels: feature channels after the second upsampling (official: 64).
    """

    scale = 4
    time_scale = 2

    def forward(self, lq: Tensor) -> Tensor:
        """Upsample clips by 4 in space and by 2 in time.

        Args:
            lq: clips (B, N, 3, h, w), RGB in [0, 1], N >= 1, sides multiples of 4.

        Returns:
            Clips (B, 2N - 1, 3, 4h, 4w), not clamped.

        Raises:
            ValueError: sides that are no multiples of 4.
        """
        # one moment at a time: full-size features of a whole clip would fill the memory
        return torch.stack([self._upsample(self.recon_trunk(x)) for x in self.features(lq)], 1)

    def _upsample(self, x: Tensor) -> Tensor:
        x = lrelu(F.pixel_shuffle(self.upconv1(x), 2))
        x = lrelu(F.pixel_shuffle(self.upconv2(x), 2))
        return self.conv_last(lrelu(self.HRconv(x)))
