"""BasicVSR (Chan et al., CVPR 2021, arXiv 2012.02181), with the parameter names of MMagic's release."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.backbones.clip_flow import compute_flow
from vrestore.backbones.spynet import SPyNet  # noqa: F401  (registers the default flow network)
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_features import FrameFeatures, belongs_on_cpu
from vrestore.layers.memory_format import for_convolutions
from vrestore.layers.residual import ResidualBlocksWithInputConv, he_init
from vrestore.layers.tail import UpsamplingTail, bilinear_x4
from vrestore.registry import BACKBONES


@BACKBONES.register_module()
class BasicVSR(UpsamplingTail):
    """Bidirectional recurrent propagation with flow alignment, x4.

    Args:
        mid_channels: feature channels of the propagation (official: 64).
        num_blocks: residual blocks of each direction (official: 30).
        hr_channels: feature channels after the second upsampling (official: 64).
        spynet: config of the flow network (BACKBONES); None is the official SPyNet.
        cpu_cache_length: clips of more frames than this keep their features on the CPU while a device restores them
            (without gradients), and their result is on the CPU too. The numbers are the same.
    """

    scale = 4

    def __init__(
        self,
        mid_channels: int = 64,
        num_blocks: int = 30,
        hr_channels: int = 64,
        spynet: dict | None = None,
        cpu_cache_length: int = 100,
    ):
        super().__init__()
        self.mid_channels = mid_channels
        self.cpu_cache_length = cpu_cache_length
        self.spynet = BACKBONES.build(spynet or {"type": "SPyNet"})
        self.backward_resblocks = ResidualBlocksWithInputConv(mid_channels + 3, mid_channels, num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(mid_channels + 3, mid_channels, num_blocks)
        self.fusion = nn.Conv2d(mid_channels * 2, mid_channels, 1, 1, 0)
        for part in (self.backward_resblocks.main[0], self.forward_resblocks.main[0], self.fusion):
            he_init(part, slope=0.1)
        self._add_tail(mid_channels, hr_channels)

    def forward(self, lq: Tensor, return_intermediates: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Upsample clips by 4.

        Args:
            lq: clips (B, T, 3, h, w), RGB in [0, 1], T >= 1. A clip of one frame has nothing to propagate.
            return_intermediates: also return ``flows_backward`` and ``flows_forward`` (B, T-1, 2, h, w): the flows
                that warp frame i+1 onto i, and frame i onto i+1.

        Returns:
            Clips (B, T, 3, 4h, 4w), not clamped.
        """
        flows_backward, flows_forward = compute_flow(self.spynet, lq)
        on_cpu = belongs_on_cpu(lq, self.cpu_cache_length)
        backward = FrameFeatures(lq.device, on_cpu)
        for _, feature in self._propagate(self.backward_resblocks, lq, flows_backward, backward_in_time=True):
            backward.append(feature)
        backward.reverse()
        outputs = FrameFeatures(lq.device, on_cpu)
        for i, feature in self._propagate(self.forward_resblocks, lq, flows_forward, backward_in_time=False):
            outputs.append(self._upsample(backward[i], feature, lq[:, i]))
        hq = outputs.stack()
        if return_intermediates:
            return hq, {"flows_backward": flows_backward, "flows_forward": flows_forward}
        return hq

    def _propagate(
        self, resblocks: nn.Module, lq: Tensor, flows: Tensor, backward_in_time: bool
    ) -> Iterator[tuple[int, Tensor]]:
        """One pass over the clip: the number of each frame and its features (B, C, h, w), in the order of the pass."""
        b, t, _, h, w = lq.shape
        feature = for_convolutions(lq.new_zeros(b, self.mid_channels, h, w))
        for step, i in enumerate(reversed(range(t)) if backward_in_time else range(t)):
            if step > 0:
                flow = flows[:, i if backward_in_time else i - 1]
                feature = flow_warp(feature, flow.permute(0, 2, 3, 1))
            feature = resblocks(torch.cat([for_convolutions(lq[:, i]), feature], dim=1))
            yield i, feature

    def _upsample(self, backward: Tensor, forward: Tensor, frame: Tensor) -> Tensor:
        fused = F.leaky_relu(self.fusion(torch.cat([backward, forward], dim=1)), 0.1, inplace=True)
        return self._tail(fused, bilinear_x4(frame))
