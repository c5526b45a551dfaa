"""The contracting half of the UNet, which the ControlNet copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vrestore.errors import ConfigError
from vrestore.layers.unet3d.embedding import sinusoidal_embedding
from vrestore.layers.unet3d.resample import Downsample
from vrestore.layers.unet3d.residual import ResBlock
from vrestore.layers.unet3d.transformers import SpatialTransformer, TemporalTransformer


class UNetEncoder(nn.Module):
    """Time embedding, input blocks and middle block.

    Args:
        in_dim: channels of the latents.
        dim: feature channels at full size, a multiple of 32.
        context_dim: channels of a text token.
        dim_mult: features of each level, as multiples of `dim`; between levels the size halves.
        num_heads: heads of the first temporal transformer, which is `num_heads * head_dim` channels wide.
        head_dim: channels of an attention head; all others have as many heads as fit into their channels.
        num_res_blocks: residual blocks of a level.
        attn_scales: sizes, as parts of the full one, whose levels have transformers.
        dropout: probability of dropping a feature in training, within residual blocks.
        gradient_checkpointing: keep the inputs of blocks only and compute them again for the gradient: less memory,
            more time, the same numbers.
        chunk_tokens: most tokens that a transformer works on at once; None is all. Less memory, the same numbers.

    Raises:
        ConfigError: sizes that do not fit each other.
    """

    def __init__(
        self,
        in_dim: int = 4,
        dim: int = 320,
        context_dim: int = 1024,
        dim_mult: Sequence[int] = (1, 2, 4, 4),
        num_heads: int = 8,
        head_dim: int = 64,
        num_res_blocks: int = 2,
        attn_scales: Sequence[float] = (1.0, 0.5, 0.25),
        dropout: float = 0.1,
        gradient_checkpointing: bool = False,
        chunk_tokens: int | None = None,
    ):
        super().__init__()
        self.sizes: dict[str, Any] = {
            **{"in_dim": in_dim, "dim": dim, "context_dim": context_dim, "dim_mult": tuple(dim_mult)},
            **{"num_heads": num_heads, "head_dim": head_dim, "num_res_blocks": num_res_blocks},
            **{"attn_scales": tuple(attn_scales), "dropout": dropout, "chunk_tokens": chunk_tokens},
        }
        self.gradient_checkpointing = gradient_checkpointing
        _check(dim, dim_mult, head_dim, attn_scales, chunk_tokens)
        self.dim, self.embedding_dim = dim, 4 * dim
        self.halvings = len(dim_mult) - 1
        self.time_embed = embedding_mlp(dim, self.embedding_dim)
        self.input_blocks = nn.ModuleList()
        self.skip_channels: list[int] = []  # of what each input block gives
        self._build_input_blocks()
        self.middle_channels = self.skip_channels[-1]
        self.middle_block = nn.ModuleList(
            [
                self._res_block(self.middle_channels, self.middle_channels),
                *self._transformers(self.middle_channels),
                self._res_block(self.middle_channels, self.middle_channels),
            ]
        )

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.parameters()).dtype

    def embed(self, timesteps: Tensor) -> Tensor:
        """Timesteps (B,) -> their embedding (B, embedding_dim)."""
        return self.time_embed(sinusoidal_embedding(timesteps, self.dim).to(self.dtype))

    def encode(
        self, latents: Tensor, embedding: Tensor, context: Tensor, added: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Run the input blocks, one a step.

        Args:
            latents: (B, in_dim, T, H, W).
            embedding: of each sample (B, E) or of each frame (B*T, E).
            context: text (B, L, context_dim).
            added: (B*T, dim, H, W), added once to what the first convolution gives.

        Yields:
            What each block gives, (B*T, channels, H, W).
        """
        batch = latents.shape[0]
        x = latents.transpose(1, 2).flatten(0, 1)
        for block in self.input_blocks:
            for part in block if isinstance(block, nn.ModuleList) else [block]:
                x = self.run(part, x, embedding, context, batch)
                if added is not None:
                    x, added = x + added, None
            yield x

    def run_middle(self, x: Tensor, embedding: Tensor, context: Tensor, batch: int) -> Tensor:
        """Run the middle block on what the last input block gave."""
        for part in self.middle_block:
            x = self.run(part, x, embedding, context, batch)
        return x

    def run(self, part: nn.Module, x: Tensor, embedding: Tensor, context: Tensor, batch: int) -> Tensor:
        """Run a part of a block (see `run_part`), checkpointed where that is switched on."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(run_part, part, x, embedding, context, batch, use_reentrant=False)
        return run_part(part, x, embedding, context, batch)

    def _build_input_blocks(self) -> None:
        channels, mults = self.dim, self.sizes["dim_mult"]
        heads, head_dim = self.sizes["num_heads"], self.sizes["head_dim"]
        first = nn.Conv2d(self.sizes["in_dim"], channels, 3, padding=1)
        time = TemporalTransformer(channels, heads, head_dim, self.sizes["chunk_tokens"])
        self._add_input_block(nn.ModuleList([first, time]), channels)
        for level, mult in enumerate(mults):
            for _ in range(self.sizes["num_res_blocks"]):
                block = nn.ModuleList([self._res_block(channels, self.dim * mult)])
                channels = self.dim * mult
                if self._has_attention(level):
                    block.extend(self._transformers(channels))
                self._add_input_block(block, channels)
            if level < len(mults) - 1:
                self._add_input_block(Downsample(channels), channels)

    def _add_input_block(self, block: nn.Module, channels: int) -> None:
        self.input_blocks.append(block)
        self.skip_channels.append(channels)

    def _has_attention(self, level: int) -> bool:
        return 0.5**level in self.sizes["attn_scales"]

    def _res_block(self, in_channels: int, out_channels: int) -> ResBlock:
        return ResBlock(in_channels, self.embedding_dim, self.sizes["dropout"], out_channels)

    def _transformers(self, channels: int) -> list[nn.Module]:
        head_dim, chunk = self.sizes["head_dim"], self.sizes["chunk_tokens"]
        heads = channels // head_dim
        return [
            SpatialTransformer(channels, heads, head_dim, self.sizes["context_dim"], chunk),
            TemporalTransformer(channels, heads, head_dim, chunk),
        ]


def embedding_mlp(in_dim: int, out_dim: int) -> nn.Sequential:
    """A sinusoidal embedding (B, in_dim) -> what blocks are told (B, out_dim)."""
    return nn.Sequential(nn.Linear(in_dim, out_dim), nn.SiLU(), nn.Linear(out_dim, out_dim))


def run_part(part: nn.Module, x: Tensor, embedding: Tensor, context: Tensor, batch: int) -> Tensor:
    """Give a part of a block what its kind takes.

    Args:
        part: the part.
        x: features (B*T, channels, H, W).
        embedding: of each sample (B, E) or of each frame (B*T, E).
        context: text (B, L, context_dim).
        batch: B.
    """
    if isinstance(part, ResBlock):
        return part(x, embedding, batch)
    if isinstance(part, SpatialTransformer):
        return part(x, context)
    if isinstance(part, TemporalTransformer):
        clips = x.unflatten(0, (batch, -1)).transpose(1, 2)
        return part(clips).transpose(1, 2).flatten(0, 1)
    return part(x)


def _check(
    dim: int, dim_mult: Sequence[int], head_dim: int, attn_scales: Sequence[float], chunk_tokens: int | None
) -> None:
    if dim % 32 or dim <= 0:
        raise ConfigError(f"dim must be a multiple of 32 (its norms have 32 groups); got {dim}")
    if not dim_mult or any(not isinstance(m, int) or m < 1 for m in dim_mult):
        raise ConfigError(f"dim_mult must name a whole multiple of dim for each level; got {dim_mult!r}")
    misfits = [dim * m for i, m in enumerate(dim_mult) if 0.5**i in attn_scales and dim * m % head_dim]
    misfits += [dim * dim_mult[-1]] if dim * dim_mult[-1] % head_dim else []  # the middle block always attends
    if misfits:
        raise ConfigError(f"head_dim={head_dim} must divide the channels of every level that attends; got {misfits[0]}")
    if unknown := [s for s in attn_scales if s not in [0.5**i for i in range(len(dim_mult))]]:
        raise ConfigError(f"attn_scales holds {unknown[0]}, which is no level: levels are 1, 0.5, … in {len(dim_mult)}")
    if chunk_tokens is not None and chunk_tokens < 1:
        raise ConfigError(f"chunk_tokens must be 1 or more, or None for all at once; got {chunk_tokens}")
