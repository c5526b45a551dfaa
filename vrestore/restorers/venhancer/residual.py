"""Generating what the key frames lack, in place of the whole picture: for small networks, or brief trainings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError

SHOWN_BY = "bilinear"  # how the key frames that the network is shown are enlarged
KERNELS = (SHOWN_BY, "bicubic")


class Residual(nn.Module):
    """Latents as a base made of the key frames, plus what the diffusion model generates, of unit variance.

    The base is the key frames' latents, enlarged by `kernel` and without noise augmentation; between two of them it
    fades linearly from one to the other, and beyond the last it is held. It is not part of VEnhancer as published,
    whose network draws the whole picture: it saves a small one from learning to repeat what it was given.

    Args:
        std: standard deviation of each latent channel's difference to the base.
        channels: of the latents.
        gain: how much of what was generated is added. Detail that is drawn and not known doubles the squared error
            where it is added in full; half of it costs a quarter of that.
        contrast: local contrast of the base (see `contrast_of`) from which on that much is added; where there is less,
            proportionally less is, so that flat areas stay flat. 0 adds it everywhere.
        kernel: ``bilinear``, as the network is shown the key frames, or ``bicubic``.

    Raises:
        ConfigError: no positive numbers, or not one a channel; a negative gain or contrast; another kernel.
    """

    std: Tensor

    def __init__(
        self,
        std: Sequence[float],
        channels: int,
        gain: float = 1.0,
        contrast: float = 0.0,
        kernel: str = SHOWN_BY,
    ):
        super().__init__()
        if kernel not in KERNELS:
            raise ConfigError(f"residual_kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
        self.kernel = kernel
        for name, value in (("gain", gain), ("contrast", contrast)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"residual_{name} must be a number >= 0, got {value!r}")
        self.gain, self.contrast = gain, contrast
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
        """Latents of a base and what was generated; those that `lacking` was given, but for gain and contrast."""
        share: float | Tensor = self.gain
        if self.contrast:
            share = self.gain * (self.contrast_of(base) / self.contrast).clamp(max=1)
        return lacking * (self.std * share) + base

    def contrast_of(self, base: Tensor) -> Tensor:
        """Local contrast (…, 1, T, h, w): the size of the steps of the latents from cell to cell, in units of `std`.

        The root of the mean square over channels and 3 x 3 cells.
        """
        scaled = base / self.std
        across = F.pad(scaled.diff(dim=-1), (0, 1)).square()
        down = F.pad(scaled.diff(dim=-2), (0, 0, 0, 1)).square()
        local = (across + down).mean(dim=-4, keepdim=True)
        planes = local.flatten(0, -3)[:, None]
        smooth = F.avg_pool2d(planes, 3, stride=1, padding=1, count_include_pad=False)
        return smooth.view(local.shape).sqrt()
