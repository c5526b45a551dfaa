"""Transformers over the pixels of a frame and over the frames of a pixel."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.unet3d.attention import BasicTransformerBlock
from vrestore.layers.zeroed import zeroed


class SpatialTransformer(nn.Module):
    """The pixels of each frame attend to each other and to a text.

    Args:
        channels: feature channels in and out.
        heads: attention heads.
        head_dim: channels of a head.
        context_dim: channels of a text token.
        chunk_tokens: most pixels at once, in whole frames; None is all. It bounds memory and changes no result.
    """

    def __init__(self, channels: int, heads: int, head_dim: int, context_dim: int, chunk_tokens: int | None = None):
        super().__init__()
        inner = heads * head_dim
        self.chunk_tokens = chunk_tokens
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, inner)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(inner, heads, head_dim, context_dim)])
        self.proj_out = zeroed(nn.Linear(inner, channels))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Features (B*T, channels, H, W) and a text (B, M, context_dim) -> features of the same shape."""
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        tokens = in_chunks(self._transform, tokens, context, self.chunk_tokens)
        return tokens.transpose(1, 2).reshape(x.shape) + x

    def _transform(self, tokens: Tensor, context: Tensor | None) -> Tensor:
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return self.proj_out(tokens)


class TemporalTransformer(nn.Module):
    """The frames of each pixel attend to each other, twice in each block. Frames carry no position.

    Args:
        channels: feature channels in and out.
        heads: attention heads.
        head_dim: channels of a head.
        chunk_tokens: most tokens at once, in whole pixels; None is all. It bounds memory and changes no result.
    """

    def __init__(self, channels: int, heads: int, head_dim: int, chunk_tokens: int | None = None):
        super().__init__()
        inner = heads * head_dim
        self.chunk_tokens = chunk_tokens
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = _TokenConv(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(inner, heads, head_dim)])
        self.proj_out = zeroed(_TokenConv(inner, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, channels, T, H, W) -> features of the same shape."""
        b, c, t, h, w = x.shape
        tokens = self.norm(x).permute(0, 3, 4, 2, 1).reshape(b * h * w, t, c)
        tokens = in_chunks(self._transform, tokens, None, self.chunk_tokens)
        return tokens.view(b, h, w, t, c).permute(0, 4, 3, 1, 2) + x

    def _transform(self, tokens: Tensor, context: Tensor | None) -> Tensor:
        tokens = self.proj_in(tokens)
        for block in self.transformer_blocks:
            tokens = block(tokens)
        return self.proj_out(tokens)


class _TokenConv(nn.Conv1d):
    """A convolution of width 1 over tokens (N, L, C): the matrix product it is, without turning the tokens round."""

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self.weight.squeeze(-1), self.bias)


def in_chunks(
    transform: Callable[[Tensor, Tensor | None], Tensor],
    tokens: Tensor,
    context: Tensor | None,
    chunk_tokens: int | None,
) -> Tensor:
    """Transform rows of tokens (N, L, C), which know nothing of each other, a few at a time.

    Args:
        transform: tokens and their context in, tokens out.
        tokens: the rows.
        context: (B, M, D) with B dividing N, each shared by N // B rows in sequence; or None.
        chunk_tokens: most tokens at once, one row at least; None is all.
    """
    if chunk_tokens is None or tokens.shape[0] * tokens.shape[1] <= chunk_tokens:
        return transform(tokens, context)
    rows = max(1, chunk_tokens // tokens.shape[1])
    if context is None:
        return torch.cat([transform(part, None) for part in tokens.split(rows)])
    samples = zip(tokens.chunk(context.shape[0]), context.split(1), strict=True)
    return torch.cat([transform(part, text) for sample, text in samples for part in sample.split(rows)])
