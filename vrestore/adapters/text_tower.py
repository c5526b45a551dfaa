"""The text tower of OpenCLIP (arXiv 2212.07143) with the official names; it is CLIP's (arXiv 2103.00020)."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import ADAPTERS

HEAD_DIM = 64
LAYERS = ("penultimate", "last")


@ADAPTERS.register_module()
class OpenCLIPTextTower(nn.Module):
    """Tokens to features; all defaults are ViT-H-14, 354 032 641 parameters.

    Weights have the names of ``open_clip_pytorch_model.bin`` without its ``visual.*``. The last block,
    `text_projection` and `logit_scale` belong to the release, and are not used for the penultimate layer.

    Args:
        vocabulary: number of tokens.
        length: tokens of a text.
        width: channels.
        layers: transformer blocks.
        heads: attention heads; None makes them 64 wide.
        hidden: width of the feed-forward layers; None is four times `width`.
        projection: width of the projection.
        layer: whose output the final norm takes: 'penultimate' leaves the last block out, as Stable Diffusion 2 and
            VEnhancer do; 'last' does not.

    Raises:
        ConfigError: an unknown layer, or heads that do not divide the width.
    """

    def __init__(
        self,
        vocabulary: int = 49408,
        length: int = 77,
        width: int = 1024,
        layers: int = 24,
        heads: int | None = None,
        hidden: int | None = None,
        projection: int = 1024,
        layer: str = "penultimate",
    ):
        super().__init__()
        if layer not in LAYERS:
            raise ConfigError(f"layer must be one of {', '.join(LAYERS)}; got {layer!r}")
        heads = heads or max(width // HEAD_DIM, 1)
        if width % heads:
            raise ConfigError(f"heads={heads} do not divide width={width}")
        self.length, self.width, self.layer = length, width, layer
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.randn(length, width) * 0.01)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(TextBlock(width, heads, hidden or 4 * width) for _ in range(layers))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, projection) * width**-0.5)
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        """Features (B, L, width) of tokens (B, L), L <= `length`: of all tokens, normed, not projected."""
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        blocks = list(self.transformer.resblocks)  # type: ignore[arg-type]
        for block in blocks[:-1] if self.layer == "penultimate" else blocks:
            x = block(x)
        return self.ln_final(x)


class TextBlock(nn.Module):
    """Causal self-attention and feed-forward layers, each behind a norm and added to its input."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = TextAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = TextFeedForward(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class TextFeedForward(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.c_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


class TextAttention(nn.Module):
    """Self-attention in which a token sees those before it and itself; names as in `nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        projected = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projected.chunk(3, dim=-1))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(attended.transpose(1, 2).flatten(2))
