"""Shifted-window attention over (frames, rows, columns): the residual Swin transformer blocks of video networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.window_attention import FORBIDDEN, Mlp

Window = tuple[int, int, int]

MASKED_VALUES = 2**24  # of the mask of shifted windows that are in memory at a time


class ResidualSwinGroup(nn.Module):
    """Swin blocks, unshifted and shifted in turn, then a linear layer, around a skip (RSTB; SwinIR, arXiv 2108.10257).

    Args:
        channels: feature channels.
        depth: number of blocks.
        num_heads: attention heads; they divide `channels`.
        window_size: (frames, rows, columns) of a window.
        mlp_ratio: hidden channels of each block's MLP over `channels`.
    """

    def __init__(self, channels: int, depth: int, num_heads: int, window_size: Sequence[int], mlp_ratio: float = 2.0):
        super().__init__()
        self.residual_group = SwinStage(channels, depth, num_heads, window_size, mlp_ratio)
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D, H, W, C) to features of the same shape."""
        return x + self.linear(self.residual_group(x))


class SwinStage(nn.Module):
    """Swin blocks of which every second one is shifted by half a window (Video Swin Transformer, arXiv 2106.13230)."""

    def __init__(self, channels: int, depth: int, num_heads: int, window_size: Sequence[int], mlp_ratio: float = 2.0):
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(channels, num_heads, window_size, shifted=i % 2 == 1, mlp_ratio=mlp_ratio) for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class SwinBlock(nn.Module):
    """``x + attention(norm1(x))`` within windows, then ``x + mlp(norm2(x))``.

    Args:
        channels: feature channels.
        num_heads: attention heads.
        window_size: (frames, rows, columns) of a window. An axis that is no longer than its window is one window, and
            is not shifted.
        shifted: whether windows are moved by half their size; pixels that the wrap brings together do not see each
            other.
        mlp_ratio: hidden channels of the MLP over `channels`.
    """

    def __init__(
        self, channels: int, num_heads: int, window_size: Sequence[int], shifted: bool = False, mlp_ratio: float = 2.0
    ):
        super().__init__()
        self.window_size = tuple(window_size)
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention3D(channels, num_heads, window_size)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, int(channels * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D, H, W, C) whose sides are multiples of the window, to features of the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        size = (x.shape[1], x.shape[2], x.shape[3])
        window = tuple(min(side, most) for side, most in zip(size, self.window_size, strict=True))
        shift = tuple(w // 2 if self.shifted and side > w else 0 for side, w in zip(size, window, strict=True))
        if not any(shift):
            return merge_windows(self.attn(split_windows(x, window)), window, size)
        x = torch.roll(x, [-s for s in shift], dims=(1, 2, 3))
        groups = _shift_groups(size, window, shift).to(x.device)
        x = merge_windows(self.attn(split_windows(x, window), groups), window, size)
        return torch.roll(x, shift, dims=(1, 2, 3))


class WindowAttention3D(nn.Module):
    """Multi-head self-attention of the tokens of each window, with a learned bias for each relative position.

    Args:
        channels: feature channels.
        num_heads: attention heads.
        window_size: (frames, rows, columns) of the largest window.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, num_heads: int, window_size: Sequence[int]):
        super().__init__()
        d, h, w = window_size
        self.num_heads = num_heads
        positions = (2 * d - 1) * (2 * h - 1) * (2 * w - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(positions, num_heads))
        self.register_buffer("relative_position_index", relative_position_index((d, h, w)))
        self.qkv_self = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, groups: Tensor | None = None) -> Tensor:
        """Attend within each window.

        Args:
            x: windows (B, windows, tokens, C). Fewer tokens than the largest window has are its first frames.
            groups: (windows, tokens) numbers; tokens of unlike numbers do not see each other.

        Returns:
            Windows of the same shape.
        """
        b, windows, tokens, channels = x.shape
        qkv = self.qkv_self(x).view(b * windows, tokens, 3, self.num_heads, channels // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        index = self.relative_position_index[:tokens, :tokens]
        bias = self.relative_position_bias_table[index].permute(2, 0, 1).unsqueeze(0).to(q.dtype)
        if groups is None:
            x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        else:
            x = _attend_in_groups(q, k, v, bias, groups)
        return self.proj(x.transpose(1, 2).reshape(b, windows, tokens, channels))


def _attend_in_groups(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, groups: Tensor) -> Tensor:
    """Attention of windows (B * windows, heads, tokens, d) whose tokens see their own group alone.

    The mask has a value for every head and pair of tokens of a window, so windows are done some at a time.
    """
    at_a_time = max(MASKED_VALUES // bias.numel(), 1)
    done = []
    for start in range(0, len(q), at_a_time):
        some = slice(start, start + at_a_time)
        of_window = groups[torch.arange(start, min(start + at_a_time, len(q)), device=groups.device) % len(groups)]
        apart = of_window.unsqueeze(1) != of_window.unsqueeze(2)
        mask = bias + apart.unsqueeze(1).to(bias.dtype) * FORBIDDEN
        done.append(F.scaled_dot_product_attention(q[some], k[some], v[some], attn_mask=mask))
    return torch.cat(done)


def relative_position_index(window_size: Window) -> Tensor:
    """(tokens, tokens) row of the bias table for each pair of a window's tokens, which count columns first."""
    axes = torch.meshgrid(*(torch.arange(side) for side in window_size), indexing="ij")
    index = torch.zeros((), dtype=torch.long)
    for axis, side in zip(axes, window_size, strict=True):
        position = axis.reshape(-1)
        index = index * (2 * side - 1) + position[:, None] - position[None, :] + side - 1
    return index


def split_windows(x: Tensor, window: Sequence[int]) -> Tensor:
    """(B, D, H, W, C) -> (B, windows, tokens of a window, C)."""
    b, d, h, w, c = x.shape
    wd, wh, ww = window
    x = x.view(b, d // wd, wd, h // wh, wh, w // ww, ww, c)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, -1, wd * wh * ww, c)


def merge_windows(x: Tensor, window: Sequence[int], size: Sequence[int]) -> Tensor:
    """(B, windows, tokens of a window, C) -> (B, D, H, W, C); undoes `split_windows`."""
    b, c = x.shape[0], x.shape[-1]
    (wd, wh, ww), (d, h, w) = window, size
    x = x.view(b, d // wd, h // wh, w // ww, wd, wh, ww, c)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, d, h, w, c)


@lru_cache(maxsize=8)
def _shift_groups(size: Sequence[int], window: Sequence[int], shift: Sequence[int]) -> Tensor:
    """(windows, tokens) number of the piece of the unrolled frames that each token comes from."""
    number = torch.zeros(1, 1, 1, dtype=torch.int32)
    for axis, (side, w, s) in enumerate(zip(size, window, shift, strict=True)):
        piece = torch.zeros(side, dtype=torch.int32)
        if s:
            piece[side - w : side - s], piece[side - s :] = 1, 2
        shape = [1, 1, 1]
        shape[axis] = side
        number = number * 3 + piece.view(shape)
    return split_windows(number[None, ..., None], window)[0, ..., 0]
