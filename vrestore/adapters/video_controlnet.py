"""VEnhancer's video ControlNet (arXiv 2407.07667, section 3): a copy of the UNet's encoder that sees key frames."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.adapters.base import BaseAdapter, ControlResiduals, at_key_frames
from vrestore.errors import RequestError
from vrestore.layers.unet3d.embedding import per_sample, sinusoidal_embedding
from vrestore.layers.unet3d.encoder import UNetEncoder, embedding_mlp
from vrestore.layers.zeroed import zeroed
from vrestore.registry import ADAPTERS


@ADAPTERS.register_module()
class VideoControlNet(BaseAdapter, UNetEncoder):
    """Key-frame latents, their noise level and their downscale factor -> what is added to a `UNet3D`.

    Video-aware conditioning: latents are placed at the key frames of the full frame axis, and the two levels are told
    in the time embedding of key frames only. Every way in (`input_hint_block`, `hint_time_zero_linear`, the end of
    `scale_cond`) and out (`zero_convs`, `middle_block_out`) starts at zero, so that a fresh one changes nothing.
    All defaults are the official size, 633 575 936 parameters.

    Args:
        in_dim, dim, context_dim, dim_mult, num_heads, head_dim, num_res_blocks, attn_scales, dropout,
        gradient_checkpointing, chunk_tokens: see `UNetEncoder`; those of the UNet when it is attached from a config.
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
        super().__init__(
            in_dim,
            dim,
            context_dim,
            dim_mult,
            num_heads,
            head_dim,
            num_res_blocks,
            attn_scales,
            dropout,
            gradient_checkpointing,
            chunk_tokens,
        )
        self.hint_time_zero_linear = zeroed(nn.Linear(self.embedding_dim, self.embedding_dim))
        self.scale_cond = embedding_mlp(dim, self.embedding_dim)
        zeroed(self.scale_cond[-1])
        self.zero_convs = nn.ModuleList(_zero_conv(channels) for channels in self.skip_channels)
        self.middle_block_out = _zero_conv(self.middle_channels)
        self.input_hint_block = zeroed(nn.Conv2d(in_dim, dim, 3, padding=1))

    @classmethod
    def from_unet(cls, unet: UNetEncoder) -> VideoControlNet:
        """A ControlNet whose encoder and middle block are copies of a UNet's, and which changes nothing yet.

        It has the UNet's dtype and device; its weights require gradients, whether the UNet's do or not.
        """
        device = next(unet.parameters()).device
        control = cls(**unet.sizes, gradient_checkpointing=unet.gradient_checkpointing).to(device, unet.dtype)
        for name in ("time_embed", "input_blocks", "middle_block"):
            getattr(control, name).load_state_dict(getattr(unet, name).state_dict())
        return control.train(unet.training)

    @torch.no_grad()
    def open_ways(self, hint_gain: float = 1.0) -> None:
        """Draw the ways in and out at random, as other layers are: for a UNet that is as untrained as this is.

        Args:
            hint_gain: factor of the key frames' way in.
        """
        ways = [self.input_hint_block, self.hint_time_zero_linear, self.scale_cond[-1]]
        ways += [conv for zero_conv in [*self.zero_convs, self.middle_block_out] for conv in zero_conv.children()]
        for layer in ways:
            layer.reset_parameters()  # type: ignore[operator]
        self.input_hint_block.weight.mul_(hint_gain)

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
        """Arguments as `BaseAdapter.forward`.

        Without `key_frame_index` the noise level and the downscale factor are told at every frame, and `key_latents`
        cannot be placed: as in the release they are left out, with a warning.

        Raises:
            RequestError: shapes that do not fit, or an index beyond the key latents.
        """
        batch, device = latents.shape[0], latents.device
        timesteps = per_sample(timesteps, batch, device, "timesteps")
        if noise_level is not None:
            noise_level = per_sample(noise_level, batch, device, "noise_level")
        if downscale is not None:
            downscale = per_sample(downscale, batch, device, "downscale")
        is_key = self._key_frames(latents, key_latents, key_frame_index)
        embedding = self._embed_frames(timesteps, noise_level, downscale, is_key)
        hint = self._place(key_latents, key_frame_index)
        context = text.to(self.dtype)
        x, skips = latents, []
        for x, to_skip in zip(
            self.encode(latents.to(self.dtype), embedding, context, hint), self.zero_convs, strict=True
        ):
            skips.append(to_skip(x))
        return ControlResiduals(skips, self.middle_block_out(self.run_middle(x, embedding, context, batch)))

    def _key_frames(self, latents: Tensor, key_latents: Tensor | None, index: Tensor | None) -> Tensor | None:
        """Which frames are key frames (B, T), once the shapes were checked; None is all of them."""
        batch, channels, frames, height, width = latents.shape
        keys = None
        if key_latents is not None:
            if key_latents.ndim != 5 or key_latents.shape[2] == 0:
                raise RequestError(f"key_latents must have the shape (B, C, K, H, W); got {tuple(key_latents.shape)}")
            keys = key_latents.shape[2]
            if (expected := (batch, channels, keys, height, width)) != tuple(key_latents.shape):
                raise RequestError(
                    f"key_latents must have the shape {expected} beside latents {tuple(latents.shape)}; "
                    f"got {tuple(key_latents.shape)}"
                )
        if index is None:
            if key_latents is not None:
                warnings.warn(
                    "key_latents are left out: without key_frame_index nothing says at which frames they belong",
                    stacklevel=3,
                )
            return None
        if tuple(index.shape) != (batch, frames) or index.is_floating_point() or index.dtype == torch.bool:
            raise RequestError(
                f"key_frame_index must be whole numbers of the shape ({batch}, {frames}), one for each frame; "
                f"got {str(index.dtype).removeprefix('torch.')} {tuple(index.shape)}"
            )
        if index.min() < -1 or (keys is not None and index.max() >= keys):
            raise RequestError(
                f"key_frame_index must lie between -1 (a frame to be synthesised) and {(keys or 2**31) - 1}, the last "
                f"key frame; it holds {index.min().item()} to {index.max().item()}"
            )
        return index >= 0

    def _embed_frames(
        self, timesteps: Tensor, noise_level: Tensor | None, downscale: Tensor | None, is_key: Tensor | None
    ) -> Tensor:
        """The time embedding, with both levels told at key frames: of each sample (B, E) or each frame (B*T, E)."""
        embedding, told = self.embed(timesteps), []
        if noise_level is not None:  # a level of noise is a timestep, and is embedded by the same layers
            told.append(self.hint_time_zero_linear(self.embed(noise_level)))
        if downscale is not None:
            told.append(self.scale_cond(sinusoidal_embedding(downscale, self.dim).to(self.dtype)))
        if is_key is None or not told:
            return sum(told, embedding)
        embedding = embedding[:, None].expand(-1, is_key.shape[1], -1)
        for level in told:
            embedding = torch.where(is_key[..., None], embedding + level[:, None], embedding)
        return embedding.flatten(0, 1)

    def _place(self, key_latents: Tensor | None, index: Tensor | None) -> Tensor | None:
        """Features of the key latents on the full frame axis (B*T, dim, H, W), zero at every other frame."""
        if key_latents is None or index is None:
            return None
        latents, is_key = at_key_frames(key_latents, index)
        return self.input_hint_block(latents.to(self.dtype)).masked_fill(~is_key, 0.0)


def _zero_conv(channels: int) -> nn.Sequential:
    return nn.Sequential(zeroed(nn.Conv2d(channels, channels, 1)))
