"""Attention, feed-forward and the transformer block made of them."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

# CUDA kernels put rows and heads on an axis of their launch grid that ends here.
MOST_ROWS_BY_HEADS = 65535


class BasicTransformerBlock(nn.Module):
    """Self-attention, attention to a context, feed-forward; each behind a layer norm and beside a residual path.

    Args:
        dim: channels of a token.
        heads: attention heads.
        head_dim: channels of a head.
        context_dim: channels of a context token; None makes the second attention a second self-attention.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, context_dim: int | None = None):
        super().__init__()
        self.attn1 = CrossAttention(dim, None, heads, head_dim)
        self.ff = FeedForward(dim)
        self.attn2 = CrossAttention(dim, context_dim, heads, head_dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens (N, L, dim) and a context (B, M, context_dim), B dividing N (see `CrossAttention`) -> tokens."""
        x = self.attn1(self.norm1(x)) + x
        x = self.attn2(self.norm2(x), context) + x
        return self.ff(self.norm3(x)) + x


class CrossAttention(nn.Module):
    """Multi-head attention through PyTorch's exact fused kernels, whose memory grows with L, not with L².

    Queries, keys and values have no bias, the output has one.

    Args:
        query_dim: channels of a token in and out.
        context_dim: channels of a context token; None is `query_dim`.
        heads: attention heads.
        head_dim: channels of a head.
    """

    def __init__(self, query_dim: int, context_dim: int | None = None, heads: int = 8, head_dim: int = 64):
        super().__init__()
        self.heads = heads
        inner = heads * head_dim
        self.to_q = nn.Linear(query_dim, inner, bias=False)
        self.to_k = nn.Linear(context_dim or query_dim, inner, bias=False)
        self.to_v = nn.Linear(context_dim or query_dim, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, query_dim), nn.Dropout(0.0))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: tokens (N, L, query_dim).
            context: what they look at (B, M, context_dim); None is the tokens themselves. B divides N, and N // B rows
                that follow each other share one context, whose keys and values are then made once for all of them.
        """
        context = x if context is None else context
        query = self.to_q(x).view(context.shape[0], -1, self.to_q.out_features)
        out = attend(*(self._split_heads(t) for t in (query, self.to_k(context), self.to_v(context))))
        return self.to_out(out.transpose(1, 2).reshape(*x.shape[:2], -1))

    def _split_heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """A GELU-gated linear unit four times as wide as its input, and the way back.

    Args:
        dim: channels of a token in and out.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.net = nn.Sequential(_GatedGELU(dim, 4 * dim), nn.Dropout(0.0), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _GatedGELU(nn.Module):
    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.proj = nn.Linear(dim, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention over (N, heads, L, head_dim), in as many calls as the kernels' launch limits ask for."""
    rows = max(1, MOST_ROWS_BY_HEADS // query.shape[1])
    if query.shape[0] <= rows:
        return F.scaled_dot_product_attention(query, key, value)
    parts = zip(query.split(rows), key.split(rows), value.split(rows), strict=True)
    return torch.cat([F.scaled_dot_product_attention(q, k, v) for q, k, v in parts])
