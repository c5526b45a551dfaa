"""Generating what the key frames lack, in place of the whole picture: for small networks, or brief trainings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError


class Residual(nn.Module):
    """Latents as a base made of the key frames, plus what the diffusion model generates, of unit variance.

    The base is the key frames' latents, enlarged and without noise augmentation; between two of them it fades linearly
    from one to the other, and beyond the last it is held. It is not part of VEnhancer as published, whose network draws
    the whole picture: it saves a small one from learning to repeat what it was given.

    Args:
        std: standard deviation of each latent channel's difference to the base.
        channels: of the latents.
        gain: how much of what was generated is added. Detail that is drawn and not known doubles the squared error
            where it is added in full; half of it costs a quarter of that.

    Raises:
        ConfigError: no positive numbers, or not one a channel; a negative gain.
    """

    std: Tensor

    def __init__(self, std: Sequence[float], channels: int, gain: float = 1.0):
        super().__init__()
        if not 0 <= gain < float("inf"):
            raise ConfigError(f"residual_gain must be a factor >= 0, got {gain!r}")
        self.gain = gain
        deviations = [float(value) for value in std]
        if len(deviations) != channels or not all(value > 0 for value in deviations):
            raise ConfigError(
                f"residual_std must be {channels} numbers above 0, one a latent channel; got {len(deviations)}: "
                f"{deviations}"
            )
        self.register_buffer("std", torch.tensor(deviations).view(-1, 1, 1, 1), persistent=False)

    @staticmethod
    def base(keys: Tensor, key_frame_index: Tensor) -> Tensor:
        """The base (C, T, h, w) of one clip.

        Args:
            keys: latents of its key frames (C, K, h, w), without noise.
            key_frame_index: (T,), for each frame the number of its key frame, rising, -1 where it is none.
        """
        places = (key_frame_index >= 0).nonzero()[:, 0]
        numbers = key_frame_index[places]
        time = torch.arange(len(key_frame_index), device=key_frame_index.device)
        after = torch.searchsorted(places, time).clamp(max=len(places) - 1)
        before = (torch.searchsorted(places, time, right=True) - 1).clamp(min=0)
        gap = (places[after] - places[before]).clamp(min=1)
        share = ((time - places[before]).clamp(min=0) / gap).clamp(max=1).to(keys).view(-1, 1, 1)
        earlier, later = keys[:, numbers[before].to(keys.device)], keys[:, numbers[after].to(keys.device)]
        return torch.lerp(earlier, later, share)

    def lacking(self, latents: Tensor, base: Tensor) -> Tensor:
        """What a base lacks of latents, both (…, C, T, h, w): of unit variance."""
        return (latents - base) / self.std

    def completed(self, lacking: Tensor, base: Tensor) -> Tensor:
        """Latents of a base and what was generated for it; with a gain of 1 those that `lacking` was given."""
        return lacking * (self.std * self.gain) + base
