"""TemporalStabiliser: blends each restored frame with its motion-compensated neighbours, against flicker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.dis_flow import DISFlow
from vrestore.registry import BACKBONES

FLOW_SHARE = 0.05  # share of the flow's length by which forward and backward flow may differ further
MAX_NOISE = 0.06  # noise of the input, a standard deviation in [0, 1], that counts as agreement at most
PATCH_PX = 5  # input and output patches whose difference is measured


class TemporalStabiliser(nn.Module):
    """Reduce the flicker of a clip that was restored frame by frame.

    ``out_t = (o_t + s * sum_k w_tk warp(o_k)) / (1 + s * sum_k w_tk)`` over the frames k up to `radius` before and
    after t. The flow between the frames and the weights w in [0, 1] come from the input: a weight is high where forward
    and backward flow cancel, where the flow stays inside the frame and where the warped input frame is equal to the
    input frame but for noise; it falls where the warped restored frame differs more than `output_tolerance`. A pair of
    frames with a mean weight below `min_agreement` is a scene cut and not blended at all.

    Nothing is recurrent: a frame depends on `context_frames` frames on either side, so that a clip restored in blocks
    with that overlap is equal to the clip restored whole.

    Args:
        strength: weight s of the neighbours against the frame itself, in [0, 1]; 0 is off.
        radius: number of neighbours on either side.
        flow: config of a flow network (BACKBONES), ``net(ref_NCHW, supp_NCHW) -> flow_N2HW`` such as ``SPyNet``; None
            is OpenCV's dense inverse search (`DISFlow`), which runs on the CPU and has no weights.
        consistency_px: difference of forward and backward flow, in input pixels, at which a weight falls to 1/e.
        input_tolerance: difference of input patches beyond their noise, in [0, 1], at which a weight falls to 1/e.
        output_tolerance: the same for restored patches; None does not compare them.
        min_agreement: mean weight in [0, 1] below which a pair of frames is not blended.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        strength: float = 1.0,
        radius: int = 1,
        flow: Mapping[str, Any] | None = None,
        consistency_px: float = 0.5,
        input_tolerance: float = 0.04,
        output_tolerance: float | None = 0.2,
        min_agreement: float = 0.1,
    ):
        super().__init__()
        for name, value, low in (("strength", strength, 0), ("min_agreement", min_agreement, 0)):
            if not _is_number(value) or not low <= value <= 1:
                raise ConfigError(f"stabiliser: {name} must be in [0, 1], got {value!r}")
        if isinstance(radius, bool) or not isinstance(radius, int) or radius < 1:
            raise ConfigError(f"stabiliser: radius must be an integer >= 1, got {radius!r}")
        tolerances = {"consistency_px": consistency_px, "input_tolerance": input_tolerance}
        if output_tolerance is not None:
            tolerances["output_tolerance"] = output_tolerance
        for name, value in tolerances.items():
            if not _is_number(value) or not value > 0:
                raise ConfigError(f"stabiliser: {name} must be a number > 0, got {value!r}")
        self.strength, self.radius = strength, radius
        self.consistency_px, self.input_tolerance = consistency_px, input_tolerance
        self.output_tolerance, self.min_agreement = output_tolerance, min_agreement
        self.flow = DISFlow() if flow is None else BACKBONES.build(dict(flow))
        self.flow.requires_grad_(False)

    @property
    def context_frames(self) -> int:
        """Frames on either side that change a frame."""
        return self.radius if self.strength > 0 else 0

    def part_loaded(self, part: str) -> None:
        """Called when the weights of the flow network were loaded; see `BaseRestorer.part_loaded`."""

    @torch.no_grad()
    def forward(self, lq_TCHW: Tensor, restored_TCHW: Tensor) -> Tensor:
        """Stabilise a restored clip.

        Args:
            lq_TCHW: input frames (T, 3, h, w) in [0, 1].
            restored_TCHW: the restored frames (T, 3, H, W).

        Returns:
            Stabilised frames (T, 3, H, W) in float32; `restored_TCHW` itself where `strength` is 0.
        """
        if self.strength == 0:
            return restored_TCHW
        with torch.autocast(lq_TCHW.device.type, enabled=False):
            lq, restored = lq_TCHW.float(), restored_TCHW.float()
            total = restored.clone()
            weights = torch.ones_like(restored[:, :1])
            # The order of the sums is that of the frames, so that blocks give equal bits.
            for distance in range(1, self.radius + 1):
                for i in range(len(lq) - distance):
                    self._exchange(lq, restored, i, i + distance, total, weights)
            return total.div_(weights)

    def _exchange(self, lq: Tensor, restored: Tensor, i: int, j: int, total: Tensor, weights: Tensor) -> None:
        """Add frame i to the sums of frame j and the reverse, where they agree."""
        first, second = lq[i : i + 1], lq[j : j + 1]
        forward, backward = self.flow(first, second).float(), self.flow(second, first).float()
        for t, k, own, other, there, back in (
            (i, j, first, second, forward, backward),
            (j, i, second, first, backward, forward),
        ):
            weight = self.agreement(own, other, there, back)
            if weight.mean() < self.min_agreement:
                continue
            warped, weight = self._enlarge(restored[k : k + 1], there, weight)
            if self.output_tolerance is not None:
                weight = weight * _falloff(_patch_mean((warped - restored[t : t + 1]) ** 2), self.output_tolerance)
            total[t] += self.strength * (weight * warped)[0]
            weights[t] += self.strength * weight[0]

    def agreement(self, own: Tensor, other: Tensor, there: Tensor, back: Tensor) -> Tensor:
        """Weights (1, 1, h, w) in [0, 1] of `other`, warped onto `own`.

        Args:
            own, other: input frames (1, 3, h, w).
            there: flow (1, 2, h, w) that warps `other` onto `own`, in pixels.
            back: flow (1, 2, h, w) that warps `own` onto `other`.
        """
        residual = (there + warp(back, there)).norm(dim=1, keepdim=True)
        allowed = self.consistency_px + FLOW_SHARE * there.norm(dim=1, keepdim=True)
        consistent = torch.exp(-((residual / allowed) ** 2)) * _inside(there)
        squared = _patch_mean((warp(other, there) - own) ** 2)
        # Half of the patches differ by no more than this: noise, unless all of the frame does not match.
        noise = squared.median().clamp(max=2 * MAX_NOISE**2)
        weight = consistent * _falloff((squared - noise).clamp(min=0), self.input_tolerance)
        # Towards the worse side of a motion boundary, whose place the flow knows to a pixel at best.
        return -F.max_pool2d(-weight, 3, stride=1, padding=1)

    @staticmethod
    def _enlarge(source: Tensor, flow: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Warp a restored frame (1, 3, H, W) by a flow of the input's size; the weights in the restored size."""
        h, w = flow.shape[-2:]
        size = source.shape[-2:]
        if size != (h, w):
            flow = F.interpolate(flow, size=size, mode="bicubic", align_corners=False)
            flow = flow * flow.new_tensor([size[1] / w, size[0] / h]).view(1, 2, 1, 1)
            weight = F.interpolate(weight, size=size, mode="bilinear", align_corners=False)
        return warp(source, flow), weight


def warp(x_NCHW: Tensor, flow_N2HW: Tensor) -> Tensor:
    """Sample `x` at each pixel's position moved by its flow; bicubic, which keeps detail that bilinear blurs."""
    h, w = x_NCHW.shape[-2:]
    x, y = _positions(flow_N2HW)
    grid = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), dim=-1)
    return F.grid_sample(x_NCHW, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _positions(flow_N2HW: Tensor) -> tuple[Tensor, Tensor]:
    h, w = flow_N2HW.shape[-2:]
    xs = torch.arange(w, device=flow_N2HW.device, dtype=flow_N2HW.dtype).view(1, 1, w)
    ys = torch.arange(h, device=flow_N2HW.device, dtype=flow_N2HW.dtype).view(1, h, 1)
    return xs + flow_N2HW[:, 0], ys + flow_N2HW[:, 1]


def _inside(flow_N2HW: Tensor) -> Tensor:
    """1 where the flow ends inside the frame, else 0 (N, 1, H, W)."""
    h, w = flow_N2HW.shape[-2:]
    x, y = _positions(flow_N2HW)
    return ((x > -0.5) & (x < w - 0.5) & (y > -0.5) & (y < h - 0.5)).unsqueeze(1).to(flow_N2HW.dtype)


def _patch_mean(squared_NCHW: Tensor) -> Tensor:
    """Mean over the channels and a patch around each pixel (N, 1, H, W)."""
    mean = squared_NCHW.mean(1, keepdim=True)
    return F.avg_pool2d(mean, PATCH_PX, stride=1, padding=PATCH_PX // 2, count_include_pad=False)


def _falloff(squared: Tensor, tolerance: float) -> Tensor:
    return torch.exp(-squared / tolerance**2)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
