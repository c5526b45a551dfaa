"""Residual blocks: convolutions within a frame, told the timestep, then convolutions over frames."""

from __future__ import annotations

import torch.nn as nn
from torch import Tensor

from vrestore.layers.zeroed import zeroed


class ResBlock(nn.Module):
    """Two 3x3 convolutions with the time embedding between them, then a `TemporalConvBlock`.

    Args:
        in_channels: channels of the input.
        embedding_dim: channels of the time embedding.
        dropout: probability of dropping a feature in training.
        out_channels: channels of the output; None is `in_channels`.
    """

    def __init__(self, in_channels: int, embedding_dim: int, dropout: float = 0.0, out_channels: int | None = None):
        super().__init__()
        out = out_channels or in_channels
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, in_channels), nn.SiLU(), nn.Conv2d(in_channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_dim, out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, out), nn.SiLU(), nn.Dropout(dropout), zeroed(nn.Conv2d(out, out, 3, padding=1))
        )
        self.skip_connection = nn.Identity() if out == in_channels else nn.Conv2d(in_channels, out, 1)
        self.temopral_conv = TemporalConvBlock(out, dropout)  # the release spells it so

    def forward(self, x: Tensor, embedding: Tensor, batch: int) -> Tensor:
        """Run the block.

        Args:
            x: features (B*T, in_channels, H, W).
            embedding: of each sample (B, E) or of each frame (B*T, E).
            batch: B.

        Returns:
            Features (B*T, out_channels, H, W).
        """
        embedded = self.emb_layers(embedding)
        frames = x.shape[0] // batch
        if embedded.shape[0] != x.shape[0]:
            embedded = embedded.repeat_interleave(frames, dim=0)
        h = self.in_layers(x) + embedded[:, :, None, None]
        x = self.skip_connection(x) + self.out_layers(h)
        clips = x.unflatten(0, (batch, frames)).transpose(1, 2)
        return self.temopral_conv(clips).transpose(1, 2).flatten(0, 1)


class TemporalConvBlock(nn.Module):
    """Four convolutions over three frames each, beside a residual path; norms see the whole clip.

    Args:
        channels: feature channels in and out.
        dropout: probability of dropping a feature in training.
    """

    def __init__(self, channels: int, dropout: float = 0.0):
        super().__init__()
        self.conv1 = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), _over_frames(channels))
        self.conv2 = self._later(channels, dropout)
        self.conv3 = self._later(channels, dropout)
        self.conv4 = self._later(channels, dropout)
        zeroed(self.conv4[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, channels, T, H, W) -> features of the same shape."""
        return x + self.conv4(self.conv3(self.conv2(self.conv1(x))))

    @staticmethod
    def _later(channels: int, dropout: float) -> nn.Sequential:
        return nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Dropout(dropout), _over_frames(channels))


def _over_frames(channels: int) -> nn.Conv3d:
    return nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
