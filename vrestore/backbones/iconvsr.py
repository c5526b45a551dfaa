"""IconVSR (Chan et al., CVPR 2021, arXiv 2012.02181), with the parameter names of MMagic's release."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.backbones.clip_flow import compute_flow
from vrestore.backbones.edvr_features import EDVRFeatures
from vrestore.backbones.spynet import SPyNet  # noqa: F401  (registers the default flow network)
from vrestore.errors import ConfigError
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_features import FrameFeatures, belongs_on_cpu
from vrestore.layers.memory_format import for_convolutions
from vrestore.layers.padding import pad_to_multiple
from vrestore.layers.residual import ResidualBlocksWithInputConv, he_init
from vrestore.layers.tail import UpsamplingTail, bilinear_x4
from vrestore.registry import BACKBONES


@BACKBONES.register_module()
class IconVSR(UpsamplingTail):
    """BasicVSR whose features are refilled at keyframes, and whose forward pass sees the backward one; x4.

    Keyframes are every `keyframe_stride`-th frame and the last one. There EDVR's features of the frames around them are
    fused into what is propagated.

    The official network pads frames to sides of multiples of 4 and crops the result, and its outputs for other sides
    are those of the padded frames; so this network does so too, unlike the others of this house: right and bottom, by
    mirroring.

    Args:
        mid_channels: feature channels, of the propagation and of the EDVR part (official: 64).
        num_blocks: residual blocks of each direction (official: 30).
        keyframe_stride: distance of the keyframes in frames.
        padding: frames on either side that a keyframe's features are made from (REDS: 2, Vimeo-90K: 3).
        deform_groups: groups of the deformable convolutions of the EDVR part.
        num_blocks_extraction: residual blocks of the EDVR part.
        hr_channels: feature channels after the second upsampling (official: 64).
        spynet: config of the flow network (BACKBONES); None is the official SPyNet.
        cpu_cache_length: see `BasicVSR`.

    Raises:
        ConfigError: a stride or padding below its least.
    """

    scale = 4

    def __init__(
        self,
        mid_channels: int = 64,
        num_blocks: int = 30,
        keyframe_stride: int = 5,
        padding: int = 2,
        deform_groups: int = 8,
        num_blocks_extraction: int = 5,
        hr_channels: int = 64,
        spynet: dict | None = None,
        cpu_cache_length: int = 100,
    ):
        super().__init__()
        if keyframe_stride < 1 or padding < 0:
            raise ConfigError(
                f"keyframe_stride must be at least 1 and padding at least 0; got {keyframe_stride} and {padding}"
            )
        c = mid_channels
        self.mid_channels = c
        self.keyframe_stride = keyframe_stride
        self.padding = padding
        self.cpu_cache_length = cpu_cache_length
        self.spynet = BACKBONES.build(spynet or {"type": "SPyNet"})
        self.edvr = EDVRFeatures(
            mid_channels=c,
            num_frames=2 * padding + 1,
            deform_groups=deform_groups,
            num_blocks_extraction=num_blocks_extraction,
        )
        self.backward_fusion = nn.Conv2d(2 * c, c, 3, 1, 1)
        self.forward_fusion = nn.Conv2d(2 * c, c, 3, 1, 1)
        self.backward_resblocks = ResidualBlocksWithInputConv(c + 3, c, num_blocks)
        self.forward_resblocks = ResidualBlocksWithInputConv(2 * c + 3, c, num_blocks)
        for part in (self.backward_resblocks.main[0], self.forward_resblocks.main[0]):
            he_init(part, slope=0.1)
        for part in (self.backward_fusion, self.forward_fusion):
            he_init(part, slope=1.0)  # no activation follows
        self._add_tail(c, hr_channels)

    def forward(self, lq: Tensor, return_intermediates: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Upsample clips by 4.

        Args:
            lq: clips (B, T, 3, h, w), RGB in [0, 1], T >= 1. Clips shorter than 2 * padding + 1 frames take the
                farthest frame that is there where the official rule names one that is not.
            return_intermediates: also return ``flows_backward`` and ``flows_forward`` (B, T-1, 2, h, w): the flows
                that warp frame i+1 onto i, and frame i onto i+1.

        Returns:
            Clips (B, T, 3, 4h, 4w), not clamped.
        """
        b, t, _, h, w = lq.shape
        padded = pad_to_multiple(lq.flatten(0, 1), self.edvr.size_multiple).unflatten(0, (b, t))
        flows_backward, flows_forward = compute_flow(self.spynet, padded)
        on_cpu = belongs_on_cpu(lq, self.cpu_cache_length)
        refills = self._refills(padded, on_cpu)
        backward, outputs = FrameFeatures(lq.device, on_cpu), FrameFeatures(lq.device, on_cpu)
        for _, feature in self._propagate_backward(padded, flows_backward, refills):
            backward.append(feature)
        backward.reverse()
        for i, feature in self._propagate_forward(padded, flows_forward, refills, backward):
            outputs.append(self._tail(feature, bilinear_x4(padded[:, i]))[..., : 4 * h, : 4 * w])
        hq = outputs.stack()
        if return_intermediates:
            flows = {"flows_backward": flows_backward, "flows_forward": flows_forward}
            return hq, {name: flow[..., :h, :w] for name, flow in flows.items()}
        return hq

    def _refills(self, lq: Tensor, on_cpu: bool) -> dict[int, Tensor]:
        """EDVR's features (B, C, h, w) at every keyframe, by its number."""
        extended = lq[:, extended_indices(lq.shape[1], self.padding)]
        span = 2 * self.padding + 1
        refills = {}
        for i in keyframes(lq.shape[1], self.keyframe_stride):
            features = self.edvr(extended[:, i : i + span])
            refills[i] = features.cpu() if on_cpu else features
        return refills

    def _propagate_backward(
        self, lq: Tensor, flows: Tensor, refills: dict[int, Tensor]
    ) -> Iterator[tuple[int, Tensor]]:
        """The number of each frame and its features (B, C, h, w), from the last frame to the first."""
        feature, frames = self._no_features(lq), lq.shape[1]
        for i in reversed(range(frames)):
            if i < frames - 1:
                feature = flow_warp(feature, flows[:, i].permute(0, 2, 3, 1))
            feature = self._refill(self.backward_fusion, feature, refills.get(i))
            feature = self.backward_resblocks(torch.cat([for_convolutions(lq[:, i]), feature], dim=1))
            yield i, feature

    def _propagate_forward(
        self, lq: Tensor, flows: Tensor, refills: dict[int, Tensor], backward: FrameFeatures
    ) -> Iterator[tuple[int, Tensor]]:
        """The number of each frame and its features (B, C, h, w), from the first frame to the last."""
        feature = self._no_features(lq)
        for i in range(lq.shape[1]):
            if i > 0:
                feature = flow_warp(feature, flows[:, i - 1].permute(0, 2, 3, 1))
            feature = self._refill(self.forward_fusion, feature, refills.get(i))
            feature = self.forward_resblocks(torch.cat([for_convolutions(lq[:, i]), backward[i], feature], dim=1))
            yield i, feature

    def _no_features(self, lq: Tensor) -> Tensor:
        return for_convolutions(lq.new_zeros(len(lq), self.mid_channels, *lq.shape[-2:]))

    @staticmethod
    def _refill(fusion: nn.Module, feature: Tensor, refill: Tensor | None) -> Tensor:
        return feature if refill is None else fusion(torch.cat([feature, refill.to(feature.device)], dim=1))


def keyframes(clip_frames: int, stride: int) -> list[int]:
    """Numbers of the keyframes: 0, stride, 2 * stride, …, and the last frame."""
    return sorted({*range(0, clip_frames, stride), clip_frames - 1})


def extended_indices(clip_frames: int, padding: int) -> list[int]:
    """Frames of a clip with `padding` frames more on either side.

    Those in front are numbers 2 * padding, …, padding + 1 (4, 3 for 2); those behind mirror that at the end of the
    clip. A clip that lacks such a frame gives its farthest one instead.
    """
    last = clip_frames - 1
    front = [min(2 * padding - i, last) for i in range(padding)]
    behind = [max(last - padding - 1 - i, 0) for i in range(padding)]
    return [*front, *range(clip_frames), *behind]
