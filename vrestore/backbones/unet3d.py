"""The 3D UNet of VEnhancer (arXiv 2407.07667), frozen there: ModelScope's Video-to-Video denoiser, with its names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.adapters.base import BaseAdapter, ControlResiduals
from vrestore.errors import ConfigError, RequestError
from vrestore.layers.unet3d.embedding import per_sample
from vrestore.layers.unet3d.encoder import UNetEncoder
from vrestore.layers.unet3d.resample import Upsample, least_legal_size
from vrestore.registry import ADAPTERS, BACKBONES


@BACKBONES.register_module()
class UNet3D(UNetEncoder):
    """Latent video denoiser: residual blocks and transformers over space, text and time.

    Without an adapter it is a plain text-to-video denoiser. An adapter (ADAPTERS, see `BaseAdapter`) adds to its
    features what conditions ask for; its weights stand under its class name, as those of ``VideoControlNet`` do in the
    release.
    All defaults are the official size: 1 411 233 860 parameters, and 633 575 936 more with the ControlNet.

    Args:
        in_dim, dim, context_dim, dim_mult, num_heads, head_dim, num_res_blocks, attn_scales, dropout,
        gradient_checkpointing, chunk_tokens: see `UNetEncoder`.
        out_dim: channels of the prediction.
        adapter: config of the adapter, or an adapter; None is none.

    Raises:
        ConfigError: sizes that do not fit each other, or an adapter that is none.
        RegistryError: no such adapter.
    """

    def __init__(
        self,
        in_dim: int = 4,
        dim: int = 320,
        context_dim: int = 1024,
        out_dim: int = 4,
        dim_mult: Sequence[int] = (1, 2, 4, 4),
        num_heads: int = 8,
        head_dim: int = 64,
        num_res_blocks: int = 2,
        attn_scales: Sequence[float] = (1.0, 0.5, 0.25),
        dropout: float = 0.1,
        adapter: Mapping[str, Any] | BaseAdapter | None = None,
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
        self.output_blocks = nn.ModuleList()
        self._build_output_blocks()
        head = nn.Conv2d(dim, out_dim, 3, padding=1)
        nn.init.zeros_(head.weight)
        self.out = nn.Sequential(nn.GroupNorm(32, dim), nn.SiLU(), head)
        self._adapter_name: str | None = None
        if adapter is not None:
            self.attach(adapter)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor | float,
        text: Tensor,
        key_latents: Tensor | None = None,
        key_frame_index: Tensor | None = None,
        noise_level: Tensor | float | None = None,
        downscale: Tensor | float | None = None,
    ) -> Tensor:
        """Predict v (or whatever the weights were trained for).

        Args:
            latents: noisy latents (B, in_dim, T, H, W); H is 2 more than, and W is, a multiple of 8 (in general of 2 to
                the number of halvings), as `least_legal_size` gives them.
            timesteps: (B,), or one for all; 0 to 999 of the release's schedule. Fractions are served.
            text: encoded prompts (B, L, context_dim).
            key_latents: latents of the key frames (B, in_dim, K, H, W), noised to `noise_level`.
            key_frame_index: (B, T) int: the frame's index into the K key latents, or -1 for a frame to be synthesised.
                Several clips, or windows of one clip, may address the same key latents.
            noise_level: timestep to which the key latents were noised, (B,) or one for all; told at key frames only.
            downscale: factor by which the key frames were downscaled, (B,) or one for all, fractions included; told at
                key frames only.

        Returns:
            (B, out_dim, T, H, W) in the dtype of `latents`, whatever the precision of the weights.

        Raises:
            RequestError: shapes that do not fit each other or the network, or conditions without an adapter.
        """
        self._check_inputs(latents, text)
        timesteps = per_sample(timesteps, latents.shape[0], latents.device, "timesteps")
        conditions = {
            **{"key_latents": key_latents, "key_frame_index": key_frame_index},
            **{"noise_level": noise_level, "downscale": downscale},
        }
        given = [name for name, value in conditions.items() if value is not None]
        if self.adapter is None:
            if given:
                raise RequestError(
                    f"{given[0]} was given to a UNet3D without an adapter, which would ignore it; attach one: "
                    f"UNet3D(…, adapter=dict(type='VideoControlNet'))"
                )
            return self.denoise(latents, timesteps, text)
        return self.denoise(latents, timesteps, text, self.adapter(latents, timesteps, text, **conditions))

    def denoise(
        self, latents: Tensor, timesteps: Tensor | float, text: Tensor, residuals: ControlResiduals | None = None
    ) -> Tensor:
        """The UNet alone, with what an adapter adds to its features; shapes and result as `forward`."""
        batch = latents.shape[0]
        timesteps = per_sample(timesteps, batch, latents.device, "timesteps")
        embedding, context = self.embed(timesteps), text.to(self.dtype)
        waiting = [] if residuals is None else list(residuals.skips)[::-1]
        middle = None if residuals is None else residuals.middle
        del residuals  # so that each skip's addend is let go once it is added
        x, skips = latents, []
        for x in self.encode(latents.to(self.dtype), embedding, context):
            skips.append(_plus(x, waiting.pop() if waiting else None))
        x = _plus(self.run_middle(x, embedding, context, batch), middle)
        for block in self.output_blocks:
            x = torch.cat([x, skips.pop()], dim=1)
            for part in block:  # type: ignore[attr-defined]
                x = self.run(part, x, embedding, context, batch)
        return self.out(x).unflatten(0, (batch, -1)).transpose(1, 2).to(latents.dtype)

    @property
    def adapter(self) -> nn.Module | None:
        """What is attached, or None."""
        return None if self._adapter_name is None else getattr(self, self._adapter_name)

    def attach(self, adapter: Mapping[str, Any] | nn.Module | None) -> None:
        """Attach an adapter, given as a config or built, in place of the one there is; None takes it off.

        Raises:
            ConfigError: what was given or built is no adapter.
            RegistryError: no such adapter.
        """
        built = self._build_adapter(adapter) if isinstance(adapter, Mapping) else adapter
        if built is not None and not isinstance(built, BaseAdapter):
            raise ConfigError(f"adapter must be a BaseAdapter or the config of one; got {type(built).__name__}")
        if self._adapter_name is not None:
            delattr(self, self._adapter_name)
            self._adapter_name = None
        if built is not None:
            if hasattr(self, type(built).__name__):
                raise ConfigError(f"an adapter cannot be called {type(built).__name__}: UNet3D has that name already")
            self.add_module(type(built).__name__, built)
            self._adapter_name = type(built).__name__

    def set_gradient_checkpointing(self, on: bool = True) -> None:
        """Switch gradient checkpointing for the UNet and its adapter."""
        self.gradient_checkpointing = on
        if self.adapter is not None:
            self.adapter.gradient_checkpointing = on  # type: ignore[assignment]

    def least_legal_size(self, height: int, width: int) -> tuple[int, int]:
        """The smallest latent height and width that hold the given ones and that the network can serve."""
        return least_legal_size(height, width, self.halvings)

    def _build_adapter(self, config: Mapping[str, Any]) -> Any:
        """Build an adapter, telling it those sizes of the UNet that its constructor names."""
        kind = config.get("type")
        entry = ADAPTERS.get(kind) if isinstance(kind, str) else kind
        wanted = inspect.signature(entry).parameters if entry is not None else {}
        told = {name: value for name, value in self._told_to_adapters().items() if name in wanted}
        return ADAPTERS.build(dict(config), default_args=told)

    def _told_to_adapters(self) -> dict[str, Any]:
        return {
            **self.sizes,
            "gradient_checkpointing": self.gradient_checkpointing,
            "skip_channels": tuple(self.skip_channels),
            "middle_channels": self.middle_channels,
            "embedding_dim": self.embedding_dim,
        }

    def _build_output_blocks(self) -> None:
        channels, left = self.middle_channels, list(self.skip_channels)
        mults = self.sizes["dim_mult"]
        for level in reversed(range(len(mults))):
            for last in [False] * self.sizes["num_res_blocks"] + [True]:
                block = nn.ModuleList([self._res_block(channels + left.pop(), self.dim * mults[level])])
                channels = self.dim * mults[level]
                if self._has_attention(level):
                    block.extend(self._transformers(channels))
                if last and level > 0:
                    block.append(Upsample(channels))
                self.output_blocks.append(block)

    def _check_inputs(self, latents: Tensor, text: Tensor) -> None:
        if latents.ndim != 5 or latents.shape[1] != self.sizes["in_dim"]:
            raise RequestError(
                f"latents must have the shape (B, {self.sizes['in_dim']}, T, H, W); got {tuple(latents.shape)}"
            )
        if text.ndim != 3 or text.shape[0] != len(latents) or text.shape[2] != self.sizes["context_dim"]:
            raise RequestError(
                f"text must have the shape ({len(latents)}, L, {self.sizes['context_dim']}) beside latents of "
                f"{len(latents)} samples; got {tuple(text.shape)}"
            )
        height, width = latents.shape[-2:]
        if (height, width) != (legal := self.least_legal_size(height, width)):
            step = 2**self.halvings
            raise RequestError(
                f"latents of {height}x{width} do not survive {self.halvings} halvings: the height must be a multiple "
                f"of {step} plus 2, the width a multiple of {step}; pad them to {legal[0]}x{legal[1]}"
            )


def _plus(x: Tensor, residual: Tensor | None) -> Tensor:
    return x if residual is None else x + residual.to(x.dtype)
