"""Guided deformable attention: looking where flow and learned offsets point (RVRT, arXiv 2206.02146)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vrestore.errors import ConfigError
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_layers import FrameConv, ToChannelsFirst, ToChannelsLast
from vrestore.layers.window_attention import Mlp
from vrestore.layers.zeroed import zeroed

SAMPLED_VALUES = 2**25
"""How many sampled keys or values are in memory at a time (32 Mi: 128 MiB in float32)."""


def deform_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    offsets: Tensor,
    *,
    num_heads: int,
    deform_groups: int,
    window: Sequence[int] = (3, 3),
    sampled_values: int = SAMPLED_VALUES,
) -> Tensor:
    """Attention of each pixel over a displaced window in every frame of another clip.

    Each query frame looks at the frames of the other clip in the order of `slot_order`. Positions are sampled
    bilinearly, with zeros outside the frame; one softmax goes over all slots and positions.

    Args:
        q: queries (B, N, C, H, W).
        k: keys (B, N, C, H, W).
        v: values (B, N, C, H, W).
        offsets: displacements (B, N queries, N slots, groups * rows * columns * 2, H, W) in pixels, the last two
            (dy, dx), added to the window's own positions around the pixel.
        num_heads: attention heads.
        deform_groups: groups of channels that are displaced together, of keys and values one after the other: the keys
            follow the first half of them, the values the second.
        window: odd (rows, columns).
        sampled_values: bound of the work memory; rows are done in bands.

    Returns:
        (B, N, C, H, W), in float32 at least.
    """
    b, n, _, h, w = q.shape
    window = (window[0], window[1])
    taps = window[0] * window[1]
    dtype = torch.promote_types(q.dtype, torch.float32)
    with torch.autocast(q.device.type, enabled=False):
        q, k, v, offsets = (x.to(dtype) for x in (q, k, v, offsets))
        q = q * (q.shape[2] // num_heads) ** -0.5
        offsets = offsets.view(b, n, n, deform_groups, taps, 2, h, w)
        band = min(h, max(1, sampled_values // (b * k.shape[2] * taps * w)))
        frames = []
        for j in range(n):
            keys, values = ([x[:, i] for _, i in slot_order(n, j)] for x in (k, v))
            bands = []
            for top in range(0, h, band):
                rows = slice(top, top + band)
                args = (q[:, j, :, rows], keys, values, offsets[:, j, ..., rows, :], top, num_heads, window)
                if torch.is_grad_enabled() and band < h:  # sampled keys and values are made anew on the way back
                    bands.append(checkpoint(_attend_band, *args, use_reentrant=False))
                else:
                    bands.append(_attend_band(*args))
            frames.append(torch.cat(bands, dim=-2))
    return torch.stack(frames, dim=1)


class GuidedDeformableAttention(nn.Module):
    """Bring the features of the clip before to a clip, around the optical flow between each pair of their frames.

    Offsets are predicted from the features of the clip, those of the clip before as the flow warps them, and the flow.
    Queries meet keys of the same stage of the network; values are what the running pass made of the clip before.

    Args:
        channels: feature channels.
        clip_size: N, frames of a clip.
        deform_groups: channel groups of keys and values together that have offsets of their own; even.
        num_heads: attention heads.
        window: odd (rows, columns) of the attended window.
        offset_channels: hidden channels of the network that predicts offsets.
        max_residue: largest offset beside the flow, in pixels.

    Raises:
        ConfigError: groups or heads that do not divide the channels.
    """

    def __init__(
        self,
        channels: int,
        clip_size: int = 2,
        deform_groups: int = 12,
        num_heads: int = 12,
        window: Sequence[int] = (3, 3),
        offset_channels: int = 64,
        max_residue: float = 10.0,
    ):
        super().__init__()
        inner = 2 * channels
        if deform_groups % 2 or inner % (deform_groups // 2) or inner % num_heads:
            raise ConfigError(
                f"half the deform_groups={deform_groups} and num_heads={num_heads} must divide the {inner} channels of "
                f"the queries (twice the features' {channels})"
            )
        self.deform_groups = deform_groups
        self.num_heads = num_heads
        self.window = (window[0], window[1])
        self.max_residue = max_residue
        self.proj_q = _over_channels(nn.Linear(channels, inner))
        self.proj_k = _over_channels(nn.Linear(channels, inner))
        self.proj_v = _over_channels(nn.Linear(channels, inner))
        self.conv_offset = _offset_network(
            channels * (1 + clip_size) + 2 * clip_size,
            offset_channels,
            2 * clip_size * deform_groups * window[0] * window[1],
        )
        self.proj = _over_channels(nn.Linear(inner, channels))
        self.mlp = _over_channels(Mlp(channels, 2 * channels))

    def forward(self, current: Tensor, keys: Tensor, values: Tensor, flows: Tensor) -> tuple[Tensor, Tensor]:
        """Align the clip before to a clip.

        Args:
            current: features of the clip (B, N, C, h, w).
            keys: features of the clip before, of the same stage, (B, N, C, h, w).
            values: features of the clip before that are to be aligned, (B, N, C, h, w).
            flows: (B, N frames, N slots, 2, h, w), channels (dx, dy): what warps, onto each frame of the clip, the
                frame of the clip before that `slot_order` names.

        Returns:
            The aligned values (B, N, C, h, w), and the flows moved by the mean of the offsets found beside them.
        """
        offsets = self._offsets(current, values, flows)
        moved = flows + offsets.mean(dim=3).flip(3)
        around = (offsets + flows.flip(3).unsqueeze(3)).flatten(3, 4)
        attended = deform_attention(
            self.proj_q(current),
            self.proj_k(keys),
            self.proj_v(values),
            around,
            num_heads=self.num_heads,
            deform_groups=self.deform_groups,
            window=self.window,
        )
        aligned = self.proj(attended)
        return aligned + self.mlp(aligned), moved

    def _offsets(self, current: Tensor, values: Tensor, flows: Tensor) -> Tensor:
        """What is added to the flows: (B, N, N slots, groups * window, 2, h, w) in pixels, the last two (dy, dx)."""
        n, (h, w) = current.shape[1], current.shape[-2:]
        seen = []
        for j in range(n):
            warped = [flow_warp(values[:, i], flows[:, j, s].permute(0, 2, 3, 1)) for s, i in slot_order(n, j)]
            seen.append(torch.cat([current[:, j], *warped, flows[:, j].flatten(1, 2)], dim=1))
        offsets = self.conv_offset(torch.stack(seen, dim=1)).to(flows.dtype)
        return self.max_residue * torch.tanh(offsets).view(*current.shape[:2], n, -1, 2, h, w)


def slot_order(n: int, j: int) -> list[tuple[int, int]]:
    """(slot, frame of the clip before) in which frame j of a clip of n frames looks: its own place first."""
    return [(slot, (slot + j) % n) for slot in range(n)]


def _over_channels(layer: nn.Module) -> nn.Sequential:
    """A layer over the last axis for frames (..., C, H, W); its place in the sequence is the release's."""
    return nn.Sequential(ToChannelsLast(), layer, ToChannelsFirst())


def _offset_network(in_channels: int, mid_channels: int, out_channels: int) -> nn.Sequential:
    """1x1, four times 3x3 and 1x1 convolutions of each frame, leaky ReLU 0.1 between; it starts at zero."""
    layers: list[nn.Module] = [FrameConv(in_channels, mid_channels, 1)]
    for _ in range(4):
        layers += [nn.LeakyReLU(0.1, inplace=True), FrameConv(mid_channels, mid_channels, 3)]
    return nn.Sequential(*layers, nn.LeakyReLU(0.1, inplace=True), zeroed(FrameConv(mid_channels, out_channels, 1)))


def _attend_band(
    q: Tensor,
    keys: list[Tensor],
    values: list[Tensor],
    offsets: Tensor,
    top: int,
    num_heads: int,
    window: tuple[int, int],
) -> Tensor:
    """Attention of the rows from `top` on: q (B, C, rows, W), offsets (B, slots, groups, taps, 2, rows, W)."""
    b, c, rows, w = q.shape
    half = offsets.shape[2] // 2
    heads = q.reshape(b, num_heads, c // num_heads, 1, rows * w)
    logits = []
    for slot, key in enumerate(keys):
        sampled = _sample(key, offsets[:, slot, :half], top, window)
        logits.append((sampled.view(b, num_heads, c // num_heads, -1, rows * w) * heads).sum(dim=2))
    weights = torch.cat(logits, dim=2).softmax(dim=2).chunk(len(keys), dim=2)
    out = torch.zeros_like(heads.squeeze(3))
    for slot, value in enumerate(values):
        sampled = _sample(value, offsets[:, slot, half:], top, window)
        weighted = sampled.view(b, num_heads, c // num_heads, -1, rows * w) * weights[slot].unsqueeze(2)
        out = out + weighted.sum(dim=3)
    return out.reshape(b, c, rows, w)


def _sample(x: Tensor, offsets: Tensor, top: int, window: tuple[int, int]) -> Tensor:
    """Sample x (B, C, H, W) at offsets (B, groups, taps, 2, rows, W) from the windows: (B, C, taps, rows, W)."""
    b, c, h, w = x.shape
    groups, taps, _, rows, _ = offsets.shape[1:]

    def count(stop: int, start: int = 0) -> Tensor:
        return torch.arange(start, stop, device=x.device, dtype=x.dtype)

    dy = count(window[0]).repeat_interleave(window[1]) - window[0] // 2
    dx = count(window[1]).repeat(window[0]) - window[1] // 2
    y_at = offsets[:, :, :, 0] + dy.view(-1, 1, 1) + count(top + rows, top).view(1, -1, 1)
    x_at = offsets[:, :, :, 1] + dx.view(-1, 1, 1) + count(w)
    grid = torch.stack((2.0 * x_at / max(w - 1, 1) - 1.0, 2.0 * y_at / max(h - 1, 1) - 1.0), dim=-1)
    sampled = F.grid_sample(
        x.reshape(b * groups, c // groups, h, w),
        grid.view(b * groups, taps * rows, w, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    return sampled.view(b, c, taps, rows, w)
