"""Transformer blocks over windows of an image that shift from block to block (Swin, arXiv 2103.14030)."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

# Added to the attention between pixels that lie side by side only because the image was rolled.
FORBIDDEN = -100.0


class SwinBlock(nn.Module):
    """Attention within windows, then a two-layer perceptron, each normalised before and added to its input.

    Args:
        dim: feature channels.
        heads: attention heads.
        window: side of a window in pixels.
        shift: pixels by which the windows are shifted; 0 or half a window.
        mlp_ratio: hidden channels of the perceptron, as a multiple of `dim`.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: factor of the queries; None is one by the root of a head's channels.
        drop_path: share of the samples whose residual branches are left out in training.
        mask_size: height and width whose mask is a buffer of the block, as official files hold it; None for none.
    """

    attn_mask: Tensor | None

    def __init__(
        self,
        dim: int,
        heads: int,
        window: int,
        shift: int = 0,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_path: float = 0.0,
        mask_size: tuple[int, int] | None = None,
    ):
        super().__init__()
        self.window, self.shift, self.drop_path = window, shift, drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window, qkv_bias, qk_scale)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        mask = None if mask_size is None or not shift else shift_mask(*mask_size, window, shift)
        self.register_buffer("attn_mask", mask)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix pixels (B, h, w, dim); the sides are multiples of the window.

        Args:
            x: features.
            mask: of the shifted windows of this size, see `shift_mask`; None where nothing is shifted.
        """
        h, w = x.shape[1:3]
        inner = self.norm1(x)
        if self.shift:
            inner = inner.roll((-self.shift, -self.shift), dims=(1, 2))
        inner = join_windows(self.attn(split_windows(inner, self.window), mask), self.window, h, w)
        if self.shift:
            inner = inner.roll((self.shift, self.shift), dims=(1, 2))
        x = x + self._dropped(inner)
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or not self.drop_path:
            return branch
        kept = 1 - self.drop_path
        return branch * branch.new_empty(len(branch), 1, 1, 1).bernoulli_(kept) / kept


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a learned bias for every relative position.

    Args:
        dim: feature channels.
        heads: attention heads.
        window: side of a window in pixels.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: factor of the queries; None is one by the root of a head's channels.
    """

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int, qkv_bias: bool = True, qk_scale: float | None = None):
        super().__init__()
        self.heads = heads
        self.qk_scale = qk_scale or (dim // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_positions(window))
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within windows.

        Args:
            x: pixels of all windows (B * windows, window**2, dim), the windows of one image together.
            mask: (windows, window**2, window**2), added to the attention; None adds nothing.
        """
        count, pixels, dim = x.shape
        q, k, v = self.qkv(x).view(count, pixels, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        attention = (q * self.qk_scale) @ k.transpose(-2, -1) + bias.view(pixels, pixels, -1).permute(2, 0, 1)
        if mask is not None:
            shape = attention.shape
            attention = attention.view(-1, len(mask), self.heads, pixels, pixels) + mask.to(attention.dtype)[:, None]
            attention = attention.view(shape)
        mixed = attention.softmax(-1).to(v.dtype) @ v
        return self.proj(mixed.transpose(1, 2).reshape(count, pixels, dim))


class Mlp(nn.Module):
    """Two linear layers with GELU between them.

    Args:
        dim: channels in and out.
        hidden: channels between.
    """

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def split_windows(x: Tensor, window: int) -> Tensor:
    """(B, h, w, C) -> (B * windows, window**2, C), windows row by row."""
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c)
    return x.transpose(2, 3).reshape(-1, window * window, c)


def join_windows(x: Tensor, window: int, h: int, w: int) -> Tensor:
    """(B * windows, window**2, C) -> (B, h, w, C)."""
    x = x.view(-1, h // window, w // window, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, h, w, x.shape[-1])


def relative_positions(window: int) -> Tensor:
    """For every pair of pixels of a window the row of the bias table: (window**2, window**2), int64."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None] + window - 1
    right = columns[:, None] - columns[None] + window - 1
    return down * (2 * window - 1) + right


def shift_mask(h: int, w: int, window: int, shift: int, device: torch.device | None = None) -> Tensor:
    """What keeps pixels apart that a roll by `shift` brought together: (windows, window**2, window**2), 0 or -100."""

    def parts(side: int) -> Tensor:
        position = torch.arange(side, device=device)
        return (position >= side - window).long() + (position >= side - shift).long()

    region = 3 * parts(h)[:, None] + parts(w)[None]
    regions = split_windows(region[None, :, :, None], window)[..., 0]
    apart = regions[:, :, None] != regions[:, None, :]
    return apart.to(torch.float32) * FORBIDDEN
