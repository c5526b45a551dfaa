"""BasicVSR (Chan et al., CVPR 2021, arXiv 2012.02181), with the parameter names of MMagic's release."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.backbones.spynet import SPyNet  # noqa: F401  (registers the default flow network)
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.residual import ResidualBlocksWithInputConv, he_init
from vrestore.layers.upsample import PixelShufflePack
from vrestore.registry import BACKBONES


@BACKBONES.register_module()
class BasicVSR(nn.Module):
    """Bidirectional recurrent propagation with flow alignment, x4.

    Args:
        mid_channels: feature channels of the propagation (official: 64).
        num_blocks: residual blocks of each direction (official: 30).
        hr_channels: feature channels after the second upsampling (official: 64).
        spynet: config of the flow network (BACKBONES); None is the official SPyNet.
    """

    scale = 4

    def __init__(self, mid_channels: int = 64, num_blocks: int = 30, hr_channels: int = 64, spynet: dict | None = None):
        super().__init__()
        self.mid_channels = mid_channels
        self.spynet = BACKBONES.build(spynet or {"type": "SPyNet"})
        self.backward_resblocks = ResidualBlocksWithInputConv(mid_channels + 3, mid_channels, num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(mid_channels + 3, mid_channels, num_blocks)
        self.fusion = nn.Conv2d(mid_channels * 2, mid_channels, 1, 1, 0)
        self.upsample1 = PixelShufflePack(mid_channels, mid_channels)
        self.upsample2 = PixelShufflePack(mid_channels, hr_channels)
        self.conv_hr = nn.Conv2d(hr_channels, hr_channels, 3, 1, 1)
        self.conv_last = nn.Conv2d(hr_channels, 3, 3, 1, 1)
        self._init_weights()

    def _init_weights(self) -> None:
        """Keep the signal's size through the layers outside the residual branches; start at the bilinear base exactly.

        A last layer that starts with random weights adds noise which the first steps remove by silencing the features
        below it, and training then stands still for hundreds of steps.
        """
        for part in (self.backward_resblocks.main[0], self.forward_resblocks.main[0], self.fusion):
            he_init(part, slope=0.1)
        for part in (self.upsample1, self.upsample2, self.conv_hr):
            he_init(part, slope=0.1)
        he_init(self.conv_last, scale=0.0)

    def forward(self, lq: Tensor, return_intermediates: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Upsample clips by 4.

        Args:
            lq: clips (B, T, 3, h, w), RGB in [0, 1], T >= 1. A clip of one frame has nothing to propagate.
            return_intermediates: also return ``flows_backward`` and ``flows_forward`` (B, T-1, 2, h, w): the flows
                that warp frame i+1 onto i, and frame i onto i+1.

        Returns:
            Clips (B, T, 3, 4h, 4w), not clamped.
        """
        flows_backward, flows_forward = self.compute_flow(lq)
        backward = self._propagate_backward(lq, flows_backward)
        outputs = []
        feature = lq.new_zeros(lq.shape[0], self.mid_channels, *lq.shape[-2:])
        for i in range(lq.shape[1]):
            if i > 0:
                feature = flow_warp(feature, flows_forward[:, i - 1].permute(0, 2, 3, 1))
            feature = self.forward_resblocks(torch.cat([lq[:, i], feature], dim=1))
            outputs.append(self._upsample(backward[i], feature, lq[:, i]))
        hq = torch.stack(outputs, dim=1)
        if return_intermediates:
            return hq, {"flows_backward": flows_backward, "flows_forward": flows_forward}
        return hq

    def compute_flow(self, lq: Tensor) -> tuple[Tensor, Tensor]:
        """Flows between neighbours: ``backward[i]`` warps frame i+1 onto i, ``forward[i]`` warps frame i onto i+1.

        A mirrored clip (its second half is its first half reversed) needs the backward flows only: forward flows are
        theirs in reverse order.
        """
        b, t, c, h, w = lq.shape
        if t == 1:
            empty = lq.new_zeros(b, 0, 2, h, w)
            return empty, empty
        first, second = lq[:, :-1].reshape(-1, c, h, w), lq[:, 1:].reshape(-1, c, h, w)
        backward = self.spynet(first, second).view(b, t - 1, 2, h, w)
        if is_mirror_extended(lq):
            return backward, backward.flip(1)
        return backward, self.spynet(second, first).view(b, t - 1, 2, h, w)

    def _propagate_backward(self, lq: Tensor, flows: Tensor) -> list[Tensor]:
        b, t, _, h, w = lq.shape
        feature = lq.new_zeros(b, self.mid_channels, h, w)
        features: list[Tensor] = []
        for i in reversed(range(t)):
            if i < t - 1:
                feature = flow_warp(feature, flows[:, i].permute(0, 2, 3, 1))
            feature = self.backward_resblocks(torch.cat([lq[:, i], feature], dim=1))
            features.insert(0, feature)
        return features

    def _upsample(self, backward: Tensor, forward: Tensor, frame: Tensor) -> Tensor:
        x = F.leaky_relu(self.fusion(torch.cat([backward, forward], dim=1)), 0.1, inplace=True)
        x = F.leaky_relu(self.upsample1(x), 0.1, inplace=True)
        x = F.leaky_relu(self.upsample2(x), 0.1, inplace=True)
        x = F.leaky_relu(self.conv_hr(x), 0.1, inplace=True)
        base = F.interpolate(frame, scale_factor=4, mode="bilinear", align_corners=False)
        return self.conv_last(x).to(base.dtype) + base


def is_mirror_extended(lq: Tensor) -> bool:
    """Whether every clip (B, T, C, h, w) is an even number of frames whose second half mirrors the first exactly."""
    t = lq.shape[1]
    return t % 2 == 0 and torch.equal(lq[:, : t // 2], lq[:, t // 2 :].flip(1))
