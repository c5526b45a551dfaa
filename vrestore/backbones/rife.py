"""RIFE v4 (Practical-RIFE): what followed the paper's IFNet, with the parameter names of its releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_time import check_pair, time_map
from vrestore.registry import BACKBONES

SLOPE = 0.2
CARRIED = 8  # feature channels that a block hands to the next, where the version has an encoder


@dataclass(frozen=True)
class RIFEVersion:
    """What distinguishes one release.

    Attributes:
        channels: feature channels of the blocks, coarse to fine; the finest works at full size, each coarser one at
            half the size of the next.
        encoder_channels: hidden channels of the frames' encoder; 0 has none.
        feature_channels: channels that the encoder gives.
        size_multiple: what drivers pad frames to.
    """

    channels: tuple[int, ...]
    encoder_channels: int
    feature_channels: int
    size_multiple: int


VERSIONS = {
    "4.6": RIFEVersion((192, 128, 96, 64), 0, 0, 32),
    "4.22": RIFEVersion((256, 192, 96, 48), 32, 8, 32),
    "4.22.lite": RIFEVersion((192, 128, 64, 32), 16, 4, 32),
    "4.25": RIFEVersion((192, 128, 96, 64, 32), 16, 4, 64),
    "4.26": RIFEVersion((192, 128, 96, 64, 32), 16, 4, 64),  # the graph of 4.25 with other weights
}


@BACKBONES.register_module()
class RIFE(nn.Module):
    """A frame at any time between two frames: flows and a mask estimated from coarse to fine, then warping.

    From 4.22 on the frames' encoded features are warped with them, each block hands features to the next, and a block
    gives the mask anew, where 4.6 adds to it.

    Args:
        version: ``4.6``, ``4.22``, ``4.22.lite``, ``4.25`` or ``4.26``.
        channels: of the blocks; None is the version's own.
        encoder_channels, feature_channels: of the encoder; None is the version's own. 4.6 has none.
        num_convs: residual convolutions of a block (official: 8).
        flow_scale: size at which flows are estimated, as a factor of the official one: 0.5 for frames of 4K.

    Attributes:
        any_time: whether it takes every time from 0 to 1.
        size_multiple: what drivers pad frames to.

    Raises:
        ValueError: an unknown version, or numbers that do not go with it.
    """

    scale = 1
    any_time = True

    def __init__(
        self,
        version: str = "4.6",
        channels: Sequence[int] | None = None,
        encoder_channels: int | None = None,
        feature_channels: int | None = None,
        num_convs: int = 8,
        flow_scale: float = 1.0,
    ):
        super().__init__()
        if version not in VERSIONS:
            raise ValueError(f"RIFE: version must be one of {', '.join(VERSIONS)}, got {version!r}")
        official = VERSIONS[version]
        channels = official.channels if channels is None else tuple(channels)
        hidden = official.encoder_channels if encoder_channels is None else encoder_channels
        features = official.feature_channels if feature_channels is None else feature_channels
        if len(channels) != len(official.channels) or min(channels) < 2:
            count = len(official.channels)
            raise ValueError(f"RIFE {version} has {count} blocks: channels must be as many numbers, got {channels}")
        if bool(hidden) != bool(official.encoder_channels) or bool(features) != bool(official.feature_channels):
            kind = "an encoder" if official.encoder_channels else "no encoder"
            raise ValueError(
                f"RIFE {version} has {kind}, got encoder_channels={hidden} and feature_channels={features}"
            )
        self.version = version
        self.flow_scale = _checked_scale(flow_scale)
        self.num_blocks = len(channels)
        carried = CARRIED if features else 0
        self.has_encoder = bool(features)
        if self.has_encoder:
            self.encode = Encoder(hidden, features)
        for i, width in enumerate(channels):
            known = 3 + features  # of each frame: pixels, features
            in_channels = 2 * known + 1 if i == 0 else 2 * known + 2 + carried + 4
            self.add_module(f"block{i}", RIFEBlock(in_channels, width, num_convs, carried))

    @property
    def least_multiple(self) -> int:
        """What height and width must be a multiple of."""
        return self._multiple(self.flow_scale)

    @property
    def size_multiple(self) -> int:
        """What drivers pad frames to."""
        return max(VERSIONS[self.version].size_multiple, self.least_multiple)

    def forward(
        self,
        img0: Tensor,
        img1: Tensor,
        timestep: float | Tensor = 0.5,
        scale: float | None = None,
        return_intermediates: bool = False,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Interpolate one frame a pair.

        Args:
            img0, img1: frames (N, 3, H, W), RGB in [0, 1], sides multiples of `least_multiple`.
            timestep: see `time_map`.
            scale: `flow_scale` of this call; None is the network's own.
            return_intermediates: also return ``flow`` (N, 4, H, W), in pixels (dx, dy) from the frame sought into the
                first and the second frame, and ``mask`` (N, 1, H, W), the share of the first.

        Returns:
            Frames (N, 3, H, W).

        Raises:
            ValueError: frames or times that it cannot take.
        """
        flow_scale = self.flow_scale if scale is None else _checked_scale(scale)
        check_pair(img0, img1, self._multiple(flow_scale), f"RIFE {self.version}")
        time = time_map(timestep, img0)
        img0, img1 = img0.clamp(0, 1), img1.clamp(0, 1)
        # frames, then their features: what is warped together
        known0, known1 = [img0], [img1]
        if self.has_encoder:
            known0.append(self.encode(img0).to(img0.dtype))
            known1.append(self.encode(img1).to(img1.dtype))
        flow, mask, carried = self._run(0, _alternate(known0, known1) + [time], None, flow_scale)
        for i in range(1, self.num_blocks):
            warped0, warped1 = _warp_all(known0, flow[:, :2]), _warp_all(known1, flow[:, 2:4])
            seen = [*_alternate(warped0, warped1), time, mask.to(time.dtype), *([] if carried is None else [carried])]
            flow_step, new_mask, carried = self._run(i, seen, flow, flow_scale)
            flow = flow + flow_step
            mask = new_mask if self.has_encoder else mask + new_mask
        share = torch.sigmoid(mask)
        (from0,), (from1,) = _warp_all([img0], flow[:, :2]), _warp_all([img1], flow[:, 2:4])
        frame = (from0 * share + from1 * (1 - share)).to(img0.dtype)
        return (frame, {"flow": flow, "mask": share}) if return_intermediates else frame

    def _run(
        self, i: int, seen: list[Tensor], flow: Tensor | None, flow_scale: float
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return getattr(self, f"block{i}")(torch.cat(seen, 1), flow, self._shrink(i, flow_scale))

    def _shrink(self, i: int, flow_scale: float) -> float:
        return 2 ** (self.num_blocks - 1 - i) / flow_scale

    def _multiple(self, flow_scale: float) -> int:
        return max(int(4 * self._shrink(0, flow_scale)), 4)


class Encoder(nn.Module):
    """Features of a frame at its own size (N, features, H, W)."""

    def __init__(self, hidden: int, features: int):
        super().__init__()
        self.cnn0 = nn.Conv2d(3, hidden, 3, 2, 1)
        self.cnn1 = nn.Conv2d(hidden, hidden, 3, 1, 1)
        self.cnn2 = nn.Conv2d(hidden, hidden, 3, 1, 1)
        self.cnn3 = nn.ConvTranspose2d(hidden, features, 4, 2, 1)

    def forward(self, img: Tensor) -> Tensor:
        x = F.leaky_relu(self.cnn0(img), SLOPE, inplace=True)
        x = F.leaky_relu(self.cnn1(x), SLOPE, inplace=True)
        x = F.leaky_relu(self.cnn2(x), SLOPE, inplace=True)
        return self.cnn3(x)


class RIFEBlock(nn.Module):
    """A step of the flows, a mask and features, from frames shrunk by a factor.

    Args:
        in_channels: channels of all that it sees, flows included.
        channels: feature channels.
        num_convs: residual convolutions.
        carried: feature channels that it hands on; 0 hands on none.
    """

    def __init__(self, in_channels: int, channels: int, num_convs: int, carried: int):
        super().__init__()
        self.carried = carried
        self.conv0 = nn.Sequential(
            _conv(in_channels, channels // 2, stride=2),
            _conv(channels // 2, channels, stride=2),
        )
        self.convblock = nn.Sequential(*(ScaledResidual(channels) for _ in range(num_convs)))
        # flows, mask and features; the release without features has a channel that nobody reads in their place
        outputs = 5 + (carried or 1)
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(channels, 4 * outputs, 4, 2, 1), nn.PixelShuffle(2))

    def forward(self, seen: Tensor, flow: Tensor | None, shrink: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """Steps of the flows (N, 4, H, W), mask (N, 1, H, W) before the sigmoid, features (N, carried, H, W) or None.

        The first two are float32 at least.
        """
        x = _resize(seen, 1 / shrink)
        if flow is not None:
            x = torch.cat([x, _resize(flow, 1 / shrink).to(x.dtype) / shrink], 1)
        x = self.lastconv(self.convblock(self.conv0(x)))
        exact = _resize(x[:, :5].to(torch.promote_types(x.dtype, torch.float32)), shrink)
        features = _resize(x[:, 5:], shrink).to(seen.dtype) if self.carried else None
        return exact[:, :4] * shrink, exact[:, 4:5], features


class ScaledResidual(nn.Module):
    """``leaky_relu(conv(x) * beta + x)`` with a learnt factor a channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x) * self.beta + x, SLOPE, inplace=True)


def _conv(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.LeakyReLU(SLOPE, inplace=True))


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _warp_all(known: list[Tensor], flow: Tensor) -> list[Tensor]:
    """Frames and features warped by one flow; together, because finding the places costs more than fetching them."""
    grid_flow = flow.permute(0, 2, 3, 1)
    warped = flow_warp(torch.cat(known, 1), grid_flow, padding_mode="border")
    return list(warped.split([x.shape[1] for x in known], 1))


def _alternate(of_first: list[Tensor], of_second: list[Tensor]) -> list[Tensor]:
    return [x for pair in zip(of_first, of_second, strict=True) for x in pair]


def _checked_scale(flow_scale: float) -> float:
    if flow_scale not in (0.25, 0.5, 1, 2, 4):
        raise ValueError(f"RIFE: the scale of the flows must be 0.25, 0.5, 1, 2 or 4, got {flow_scale!r}")
    return float(flow_scale)
