"""IFNet of the RIFE paper (Huang et al., ECCV 2022, arXiv 2011.06294), with the parameter names of its release."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_time import check_pair, time_map
from vrestore.registry import BACKBONES

SCALES = (4, 2, 1)  # of the three blocks: how much smaller the frames are that each of them sees


@BACKBONES.register_module()
class IFNet(nn.Module):
    """The frame between two frames: flows estimated from coarse to fine, warping, and a refining U-Net.

    The release's teacher (``block_tea``) sees the frame that is sought; it serves training only and is left out.

    Args:
        arbitrary_time: the variant IFNet_m, which is told the time. Without it the network knows the middle only.
        channels: feature channels of the three blocks, coarse to fine (official: 240, 150, 90).
        num_convs: convolutions in the body of a block (official: 8).
        context_channels: channels of the finest context features and of the U-Net (official: 16).

    Attributes:
        any_time: whether it takes every time from 0 to 1.
        size_multiple: what the release pads frames to.
        least_multiple: what height and width must be a multiple of.
    """

    scale = 1
    size_multiple = 32
    least_multiple = 16

    def __init__(
        self,
        arbitrary_time: bool = False,
        channels: Sequence[int] = (240, 150, 90),
        num_convs: int = 8,
        context_channels: int = 16,
    ):
        super().__init__()
        if len(channels) != len(SCALES):
            raise ValueError(f"IFNet has {len(SCALES)} blocks: channels must name as many numbers, got {channels!r}")
        self.any_time = bool(arbitrary_time)
        told = int(self.any_time)
        # two frames; then their warped versions, the mask and the flows too; the time where it is told
        self.block0 = IFBlock(6 + told, channels[0], num_convs)
        self.block1 = IFBlock(17 + told, channels[1], num_convs)
        self.block2 = IFBlock(17 + told, channels[2], num_convs)
        self.contextnet = ContextNet(context_channels)
        self.unet = RefineUNet(context_channels)

    def forward(
        self, img0: Tensor, img1: Tensor, timestep: float | Tensor = 0.5, return_intermediates: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Interpolate one frame a pair.

        Args:
            img0, img1: frames (N, 3, H, W), RGB in [0, 1], sides multiples of 16.
            timestep: see `time_map`; only 0.5 without `arbitrary_time`.
            return_intermediates: also return ``flow`` (N, 4, H, W), in pixels (dx, dy) from the frame sought into the
                first and the second frame, and ``mask`` (N, 1, H, W), the share of the first.

        Returns:
            Frames (N, 3, H, W) in [0, 1].

        Raises:
            ValueError: frames or times that it cannot take.
        """
        check_pair(img0, img1, self.least_multiple, type(self).__name__)
        frames = [img0, img1]
        if self.any_time:
            frames.append(time_map(timestep, img0))
        elif not (torch.as_tensor(timestep) == 0.5).all():
            raise ValueError(
                f"IFNet without arbitrary_time knows the middle of two frames only (timestep=0.5), got "
                f"timestep={timestep!r}"
            )
        flow, mask = self.block0(torch.cat(frames, 1), None, SCALES[0])
        warped0, warped1 = _warp_both(img0, img1, flow)
        for block, scale in ((self.block1, SCALES[1]), (self.block2, SCALES[2])):
            seen = torch.cat([*frames, warped0, warped1, mask.to(img0.dtype)], 1)
            flow_step, mask_step = block(seen, flow, scale)
            flow, mask = flow + flow_step, mask + mask_step
            warped0, warped1 = _warp_both(img0, img1, flow)
        share = torch.sigmoid(mask)
        merged = warped0 * share + warped1 * (1 - share)
        known = torch.cat([img0, img1, warped0, warped1, mask.to(img0.dtype), flow.to(img0.dtype)], 1)
        context = self.contextnet(img0, flow[:, :2]), self.contextnet(img1, flow[:, 2:4])
        frame = (merged + self.unet(known, *context) * 2 - 1).clamp(0, 1).to(img0.dtype)
        return (frame, {"flow": flow, "mask": share}) if return_intermediates else frame


class IFBlock(nn.Module):
    """Flows and mask at one scale, as a step beyond those of the coarser scale.

    Args:
        in_channels: channels of the frames and of what is known beside them.
        channels: feature channels.
        num_convs: convolutions in the body.
    """

    def __init__(self, in_channels: int, channels: int, num_convs: int):
        super().__init__()
        self.conv0 = nn.Sequential(
            _conv(in_channels, channels // 2, stride=2),
            _conv(channels // 2, channels, stride=2),
        )
        self.convblock = nn.Sequential(*(_conv(channels, channels) for _ in range(num_convs)))
        self.lastconv = nn.ConvTranspose2d(channels, 5, 4, 2, 1)

    def forward(self, seen: Tensor, flow: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
        """Steps of the flows (N, 4, H, W) and of the mask (N, 1, H, W), before the sigmoid; float32 at least."""
        x = _resize(seen, 1 / scale)
        if flow is not None:
            x = torch.cat([x, _resize(flow, 1 / scale).to(x.dtype) / scale], 1)
        x = self.conv0(x)
        x = self.lastconv(self.convblock(x) + x)
        step = _resize(x.to(torch.promote_types(x.dtype, torch.float32)), scale * 2)
        return step[:, :4] * (scale * 2), step[:, 4:5]


class ContextNet(nn.Module):
    """Features of a frame at four scales, each warped by the flow.

    Args:
        channels: of the finest features; every coarser scale has twice as many.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = TwoConvs(3, channels)
        self.conv2 = TwoConvs(channels, 2 * channels)
        self.conv3 = TwoConvs(2 * channels, 4 * channels)
        self.conv4 = TwoConvs(4 * channels, 8 * channels)

    def forward(self, img: Tensor, flow: Tensor) -> list[Tensor]:
        """Warped features (N, C, H/2, W/2), …, (N, 8C, H/16, W/16) of a frame (N, 3, H, W)."""
        features = []
        x = img
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x)
            flow = _resize(flow, 0.5) * 0.5
            features.append(_warp(x, flow))
        return features


class RefineUNet(nn.Module):
    """What is missing after warping, from all that is known and the context of both frames.

    Args:
        channels: of the finest features.
    """

    def __init__(self, channels: int):
        super().__init__()
        c = channels
        self.down0 = TwoConvs(17, 2 * c)
        self.down1 = TwoConvs(4 * c, 4 * c)
        self.down2 = TwoConvs(8 * c, 8 * c)
        self.down3 = TwoConvs(16 * c, 16 * c)
        self.up0 = _deconv(32 * c, 8 * c)
        self.up1 = _deconv(16 * c, 4 * c)
        self.up2 = _deconv(8 * c, 2 * c)
        self.up3 = _deconv(4 * c, c)
        self.conv = nn.Conv2d(c, 3, 3, 1, 1)

    def forward(self, known: Tensor, context0: list[Tensor], context1: list[Tensor]) -> Tensor:
        """(N, 3, H, W) in (0, 1); 0.5 adds nothing."""
        downs = (self.down0, self.down1, self.down2, self.down3)
        x, passed = known, []
        for down, near0, near1 in zip(downs, context0, context1, strict=True):
            x = down(x)
            passed.append(x)
            x = torch.cat([x, near0.to(x.dtype), near1.to(x.dtype)], 1)
        x = self.up0(x)
        for up, skip in ((self.up1, passed[2]), (self.up2, passed[1]), (self.up3, passed[0])):
            x = up(torch.cat([x, skip], 1))
        return torch.sigmoid(self.conv(x))


class TwoConvs(nn.Module):
    """Two 3x3 convolutions with PReLU, the first of stride 2."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = _conv(in_channels, out_channels, stride=2)
        self.conv2 = _conv(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.PReLU(out_channels))


def _deconv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1), nn.PReLU(out_channels))


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _warp(x: Tensor, flow: Tensor) -> Tensor:
    return flow_warp(x, flow.permute(0, 2, 3, 1), padding_mode="border")


def _warp_both(img0: Tensor, img1: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    return _warp(img0, flow[:, :2]), _warp(img1, flow[:, 2:4])
