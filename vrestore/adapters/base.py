"""The contract of an adapter: what a latent video network asks it for, and what it gets to know when it is built."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn as nn
from torch import Tensor


class ControlResiduals(NamedTuple):
    """What an adapter adds to the features of a UNet; None adds nothing.

    Attributes:
        skips: for each input block of the UNet, in order, features of the shape that it gives, (B*T, channels, H, W).
        middle: features of the shape that the middle block gives.
    """

    skips: Sequence[Tensor | None]
    middle: Tensor | None = None


class BaseAdapter(nn.Module):
    """An adapter that a config attaches to `UNet3D`: ``dict(type='UNet3D', adapter=dict(type='MyAdapter', …))``.

    It is registered in ADAPTERS and its weights stand in the joint state dict under its class name. Its constructor may
    take any of these by name, and where the config does not give them they are those of the UNet:

    - the UNet's own arguments: ``in_dim``, ``dim``, ``context_dim``, ``dim_mult``, ``num_heads``, ``head_dim``,
      ``num_res_blocks``, ``attn_scales``, ``dropout``, ``gradient_checkpointing``, ``chunk_tokens``;
    - ``skip_channels``: channels of what each input block gives, in order;
    - ``middle_channels``: channels of what the middle block gives;
    - ``embedding_dim``: channels of the time embedding.

    Switching gradient checkpointing on or off for the UNet sets the adapter's ``gradient_checkpointing`` as well.
    """

    @abstractmethod
    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        text: Tensor,
        key_latents: Tensor | None = None,
        key_frame_index: Tensor | None = None,
        noise_level: Tensor | float | None = None,
        downscale: Tensor | float | None = None,
    ) -> ControlResiduals:
        """Turn conditions into what is added to the UNet's features. It knows no sampler.

        Args:
            latents: noisy latents (B, C, T, H, W), which the UNet sees too.
            timesteps: (B,).
            text: encoded prompts (B, L, context_dim).
            key_latents: latents of the key frames (B, C, K, H, W).
            key_frame_index: (B, T) int: the frame's index into `key_latents`, or -1 for a frame to be synthesised.
            noise_level: timestep to which the key latents were noised, (B,) or one for all.
            downscale: factor by which the key frames were downscaled, (B,) or one for all.
        """
        raise NotImplementedError


def at_key_frames(key_latents: Tensor, key_frame_index: Tensor) -> tuple[Tensor, Tensor]:
    """Key latents on the full frame axis.

    Args:
        key_latents: (B, C, K, H, W).
        key_frame_index: (B, T) int: the frame's index into the K key latents, or -1.

    Returns:
        latents (B*T, C, H, W), frame fastest, and whether each frame is a key frame (B*T, 1, 1, 1). Frames that are
        none hold the first key latents, to be masked after what is made of them.
    """
    samples = torch.arange(len(key_frame_index), device=key_frame_index.device)[:, None]
    latents = key_latents[samples, :, key_frame_index.clamp(min=0)]
    return latents.flatten(0, 1), (key_frame_index >= 0).view(-1, 1, 1, 1)
