"""BasicVSR++ (Chan et al., CVPR 2022, arXiv 2104.13371), with the parameter names of MMagic's release."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.backbones.clip_flow import compute_flow
from vrestore.backbones.spynet import SPyNet  # noqa: F401  (registers the default flow network)
from vrestore.errors import RequestError
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_features import FrameFeatures, belongs_on_cpu
from vrestore.layers.memory_format import for_convolutions
from vrestore.layers.residual import ResidualBlocksWithInputConv, he_init
from vrestore.layers.second_order_alignment import SecondOrderDeformableAlignment
from vrestore.layers.tail import UpsamplingTail, bilinear_x4
from vrestore.registry import BACKBONES

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")  # in the order in which they run


@BACKBONES.register_module()
class BasicVSRPlusPlus(UpsamplingTail):
    """Second-order grid propagation with flow-guided deformable alignment, x4 or at the same resolution.

    Four passes run over the clip, backward and forward in turn; each sees what the ones before it made of a frame. The
    features of the last two frames are aligned to a frame. The first frame of a pass, and so a clip of one frame, has
    none before it and starts from zeros.

    Args:
        mid_channels: feature channels (official: 64; 128 in the models of NTIRE 2021), a multiple of 8.
        num_blocks: residual blocks of each pass (official: 7; 25 in the models of NTIRE 2021).
        max_residue_magnitude: pixels by which an offset may differ from the flow.
        is_low_res_input: whether the result has four times the sides of the input (super-resolution); otherwise it has
            the same, and features are made at a quarter of them (deblurring, denoising, compressed video).
        hr_channels: feature channels after the second upsampling (official: 64).
        spynet: config of the flow network (BACKBONES); None is the official SPyNet.
        cpu_cache_length: clips of more frames than this keep their features on the CPU while a device restores them
            (without gradients), and their result is on the CPU too. The numbers are the same.

    Raises:
        ConfigError: `mid_channels` is no multiple of 8.
    """

    def __init__(
        self,
        mid_channels: int = 64,
        num_blocks: int = 7,
        max_residue_magnitude: float = 10,
        is_low_res_input: bool = True,
        hr_channels: int = 64,
        spynet: dict | None = None,
        cpu_cache_length: int = 100,
    ):
        super().__init__()
        c = mid_channels
        self.mid_channels = c
        self.is_low_res_input = is_low_res_input
        self.cpu_cache_length = cpu_cache_length
        self.spynet = BACKBONES.build(spynet or {"type": "SPyNet"})
        if is_low_res_input:
            self.feat_extract: nn.Module = ResidualBlocksWithInputConv(3, c, 5)
        else:
            self.feat_extract = nn.Sequential(
                nn.Conv2d(3, c, 3, 2, 1),
                nn.LeakyReLU(negative_slope=0.1, inplace=True),
                nn.Conv2d(c, c, 3, 2, 1),
                nn.LeakyReLU(negative_slope=0.1, inplace=True),
                ResidualBlocksWithInputConv(c, c, 5),
            )
            for part in (self.feat_extract[0], self.feat_extract[2]):
                he_init(part, slope=0.1)
        self.deform_align = nn.ModuleDict()
        self.backbone = nn.ModuleDict()
        for i, branch in enumerate(BRANCHES):
            self.deform_align[branch] = SecondOrderDeformableAlignment(
                2 * c, c, deform_groups=16, max_residue_magnitude=max_residue_magnitude
            )
            self.backbone[branch] = ResidualBlocksWithInputConv((2 + i) * c, c, num_blocks)
        self.reconstruction = ResidualBlocksWithInputConv(5 * c, c, 5)
        for blocks in self.modules():
            if isinstance(blocks, ResidualBlocksWithInputConv):
                he_init(blocks.main[0], slope=0.1)
        self._add_tail(c, hr_channels)

    @property
    def scale(self) -> int:
        """How many times the sides of the input the result has."""
        return 4 if self.is_low_res_input else 1

    @property
    def size_multiple(self) -> int:
        """What the sides of the input must be multiples of."""
        return 1 if self.is_low_res_input else 4

    def forward(self, lq: Tensor, return_intermediates: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Restore clips.

        Args:
            lq: clips (B, T, 3, h, w), RGB in [0, 1], T >= 1; sides are multiples of `size_multiple`.
            return_intermediates: also return ``flows_backward`` and ``flows_forward`` (B, T-1, 2, h, w), at a quarter
                of the sides for models of the same resolution: the flows that warp frame i+1 onto i, and frame i onto
                i+1.

        Returns:
            Clips (B, T, 3, scale * h, scale * w), not clamped.

        Raises:
            RequestError: sides that are no multiples of `size_multiple`.
        """
        self._check(lq)
        flows_backward, flows_forward = compute_flow(self.spynet, self._at_feature_size(lq))
        on_cpu = belongs_on_cpu(lq, self.cpu_cache_length)
        features = {"spatial": FrameFeatures(lq.device, on_cpu)}
        for frame in lq.unbind(1):
            features["spatial"].append(self.feat_extract(for_convolutions(frame)))
        for branch in BRANCHES:
            flows = flows_backward if branch.startswith("backward") else flows_forward
            features[branch] = self._propagate(branch, features, flows)
        restored = FrameFeatures(lq.device, on_cpu)
        for i, frame in enumerate(lq.unbind(1)):
            restored.append(self._reconstruct([of[i] for of in features.values()], frame))
        hq = restored.stack()
        if return_intermediates:
            return hq, {"flows_backward": flows_backward, "flows_forward": flows_forward}
        return hq

    def _propagate(self, branch: str, features: dict[str, FrameFeatures], flows: Tensor) -> FrameFeatures:
        """One pass over the clip: a frame's features from its own, those of earlier passes, and the last two frames."""
        backward = branch.startswith("backward")
        order = range(len(features["spatial"]))
        kept = FrameFeatures(features["spatial"].device, features["spatial"].on_cpu)
        last: Tensor | None = None  # this pass's features of the last frame, of the one before it, and the last flow
        before: Tensor | None = None
        last_flow: Tensor | None = None
        for i in reversed(order) if backward else order:
            seen = [of[i] for of in features.values()]
            if last is None:
                aligned = torch.zeros_like(seen[0])
            else:
                flow = flows[:, i if backward else i - 1]
                aligned = self._align(branch, seen[0], last, before, flow, last_flow)
                last_flow = flow
            before, last = last, aligned + self.backbone[branch](torch.cat([*seen, aligned], dim=1))
            kept.append(last)
        if backward:
            kept.reverse()
        return kept

    def _align(
        self, branch: str, current: Tensor, last: Tensor, before: Tensor | None, flow: Tensor, last_flow: Tensor | None
    ) -> Tensor:
        """Bring the features of the last two frames to the current one.

        Args:
            branch: the pass.
            current: the current frame's own features (B, C, h, w).
            last: the pass's features of the last frame; `before` of the one before it, or None.
            flow: (B, 2, h, w), warps the last frame onto the current one; `last_flow` the one before it onto the last.
        """
        warp = flow.permute(0, 2, 3, 1)
        warped_last = flow_warp(last, warp)
        if before is None or last_flow is None:
            before = warped_before = torch.zeros_like(last)
            flow_2 = torch.zeros_like(flow)
        else:
            flow_2 = flow + flow_warp(last_flow, warp)
            warped_before = flow_warp(before, flow_2.permute(0, 2, 3, 1))
        conditions = torch.cat([warped_last, current, warped_before], dim=1)
        return self.deform_align[branch](torch.cat([last, before], dim=1), conditions, flow, flow_2)

    def _reconstruct(self, features: list[Tensor], frame: Tensor) -> Tensor:
        x = self.reconstruction(torch.cat(features, dim=1))
        return self._tail(x, bilinear_x4(frame) if self.is_low_res_input else frame)

    def _at_feature_size(self, lq: Tensor) -> Tensor:
        if self.is_low_res_input:
            return lq
        small = F.interpolate(lq.flatten(0, 1), scale_factor=0.25, mode="bicubic", align_corners=False)
        return small.unflatten(0, lq.shape[:2])

    def _check(self, lq: Tensor) -> None:
        h, w = lq.shape[-2:]
        if h % self.size_multiple or w % self.size_multiple:
            raise RequestError(
                f"frames of {w}x{h} (width x height) do not fit a BasicVSR++ of the same resolution: both sides must "
                f"be multiples of {self.size_multiple}; a restorer pads them (size_multiple={self.size_multiple})"
            )
