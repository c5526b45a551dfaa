"""The contract of an autoencoder: frames in [0, 1] to latents that a diffusion model works on, and back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.autoencoders.latent_cache import LatentCache
from vrestore.autoencoders.tiling import Tiling, decode_in_pieces, run_tiles
from vrestore.errors import ConfigError, RequestError


class Autoencoder(nn.Module):
    """Pixels <-> latents. An entry of AUTOENCODERS subclasses it and brings `posterior_of` and `decode_raw`.

    Latents are those that the diffusion model sees: multiplied by `scale_factor` when encoding, divided when decoding.
    Gradients flow where they are enabled; wrap inference in ``torch.no_grad()``.

    Args:
        scale_factor: what latents are multiplied by, so that their variance is about 1.
        tiling: pieces in which clips are decoded, a `Tiling` or its arguments; None decodes all at once.
        encode_tiling: spatial tiles in which frames are encoded; None encodes whole frames.

    Attributes:
        latent_channels: channels of a latent.
        downsample: pixels to a latent cell, on both axes; frames must be multiples of it.
        frame_channels: channels of a frame.
        latent_cache: where posteriors of frames are kept, a `LatentCache`; None encodes each frame anew.
        is_temporal: whether frames are decoded with regard to their neighbours.
    """

    latent_channels: int
    downsample: int
    frame_channels: int = 3
    is_temporal: bool = False

    def __init__(
        self,
        scale_factor: float = 1.0,
        tiling: Tiling | Mapping[str, Any] | None = None,
        encode_tiling: Tiling | Mapping[str, Any] | None = None,
    ):
        super().__init__()
        if not scale_factor > 0:
            raise ConfigError(f"scale_factor must be above 0, got {scale_factor!r}")
        self.scale_factor = float(scale_factor)
        self.tiling = as_tiling(tiling)
        self.encode_tiling = as_tiling(encode_tiling)
        self.latent_cache: LatentCache | None = None

    @abstractmethod
    def posterior_of(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log variance, (N, latent_channels, H / downsample, W / downsample), of N frames.

        Args:
            frames: (N, C, H, W) in [-1, 1].

        Returns:
            Both unscaled; the log variance is None where the encoding is certain.
        """
        raise NotImplementedError

    @abstractmethod
    def decode_raw(self, latents: Tensor) -> Tensor:
        """Frames (B, C, T, H, W) in about [-1, 1] of unscaled latents (B, latent_channels, T, h, w)."""
        raise NotImplementedError

    def encode(self, frames: Tensor, *, generator: torch.Generator | None = None, keep: bool = True) -> Tensor:
        """Encode frame by frame.

        Args:
            frames: (B, T, C, H, W) or (T, C, H, W) in [0, 1]; H and W multiples of `downsample`.
            generator: draws a sample of the posterior, frame by frame on the generator's device (the official release
                draws on the CPU); None takes its mode.
            keep: look the frames up in the `latent_cache`, where there is one, and keep them there.

        Returns:
            Latents (B, latent_channels, T, H / downsample, W / downsample), float32, scaled.

        Raises:
            RequestError: another number of axes or channels, or a size that is no multiple.
        """
        frames = self._check_frames(frames)
        batch, count = frames.shape[:2]
        latents = [self._encode_frame(frame[None], generator, keep) for frame in frames.flatten(0, 1)]
        return torch.cat(latents).unflatten(0, (batch, count)).transpose(1, 2).contiguous()

    def decode(self, latents: Tensor, *, clamp: bool = True, device: torch.device | str | None = None) -> Tensor:
        """Decode a clip, in the pieces that `tiling` says.

        Args:
            latents: (B, latent_channels, T, h, w), scaled.
            clamp: cut values to [0, 1].
            device: where the frames gather; None is that of the latents. 'cpu' leaves a GPU room for the pieces.

        Returns:
            Frames (B, T, C, h * downsample, w * downsample), float32.

        Raises:
            RequestError: another number of axes or channels, or no frame.
        """
        whole: Tensor | None = None
        start = 0
        for block in self.decode_blocks(latents, clamp=clamp):
            if block.shape[1] == latents.shape[2]:
                return block.to(device) if device is not None else block
            if whole is None:
                shape = (block.shape[0], latents.shape[2], *block.shape[2:])
                whole = torch.empty(shape, dtype=block.dtype, device=device or block.device)
            whole[:, start : start + block.shape[1]] = block.to(whole.device)
            start += block.shape[1]
        assert whole is not None
        return whole

    def decode_blocks(self, latents: Tensor, *, clamp: bool = True) -> Iterator[Tensor]:
        """Decode a clip block by block, so that no more than one is in memory: (B, t, C, H, W), see `decode`."""
        self._check_latents(latents)
        parameter = next(self.parameters(), latents)
        unscaled = (latents / self.scale_factor).to(parameter.device, parameter.dtype)
        for frames in decode_in_pieces(self.decode_raw, unscaled, self.tiling, self.downsample):
            block = frames.float().mul(0.5).add(0.5).transpose(1, 2)
            yield block.clamp(0, 1) if clamp else block

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """`posterior_of`, in the tiles that `encode_tiling` says."""
        if self.encode_tiling is None:
            return self.posterior_of(frames)
        certain: list[bool] = []

        def both(tile: Tensor) -> Tensor:
            mean, log_variance = self.posterior_of(tile)
            certain.append(log_variance is None)
            return mean if log_variance is None else torch.cat([mean, log_variance], dim=1)

        moments = run_tiles(both, frames, self.encode_tiling, step_in=self.downsample)
        if certain[0]:
            return moments, None
        mean, log_variance = moments.chunk(2, dim=1)
        return mean, log_variance

    def _encode_frame(self, frame: Tensor, generator: torch.Generator | None, keep: bool) -> Tensor:
        parameter = next(self.parameters(), frame)
        scaled = frame.to(parameter.device, parameter.dtype).mul(2).sub(1)
        mean, log_variance = self._posterior_kept(scaled) if keep else self.posterior(scaled)
        latent = mean.float()
        if generator is not None and log_variance is not None:
            noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(latent.device)
            latent = latent + torch.exp(0.5 * log_variance.float()) * noise
        return latent * self.scale_factor

    def _posterior_kept(self, frame: Tensor) -> tuple[Tensor, Tensor | None]:
        """`posterior` of one frame, from the cache where there is one and it knows the frame."""
        if self.latent_cache is None:
            return self.posterior(frame)
        key = self.latent_cache.key(frame, self)
        kept = self.latent_cache.get(key)
        if kept is None:
            kept = self.posterior(frame)
            self.latent_cache.put(key, *kept)
        mean, log_variance = kept
        return mean.to(frame.device), None if log_variance is None else log_variance.to(frame.device)

    def _check_frames(self, frames: Tensor) -> Tensor:
        shown = f"got {tuple(frames.shape)}"
        if frames.ndim not in (4, 5):
            raise RequestError(f"an autoencoder takes frames (T, C, H, W) or (B, T, C, H, W); {shown}")
        frames = frames if frames.ndim == 5 else frames[None]
        if frames.shape[1] < 1 or frames.shape[2] != self.frame_channels:
            raise RequestError(f"{type(self).__name__} takes frames of {self.frame_channels} channels; {shown}")
        if any(size < 1 or size % self.downsample for size in frames.shape[-2:]):
            raise RequestError(
                f"{type(self).__name__} takes frames whose height and width are multiples of {self.downsample}; {shown}"
            )
        if not frames.is_floating_point():
            raise RequestError(f"{type(self).__name__} takes frames of floats in [0, 1]; got {frames.dtype}")
        return frames

    def _check_latents(self, latents: Tensor) -> None:
        if latents.ndim != 5 or latents.shape[1] != self.latent_channels or min(latents.shape) < 1:
            raise RequestError(
                f"{type(self).__name__} decodes latents (B, {self.latent_channels}, T, h, w); "
                f"got {tuple(latents.shape)}"
            )


def as_tiling(tiling: Tiling | Mapping[str, Any] | None) -> Tiling | None:
    """A `Tiling` from its arguments; a `Tiling` and None as they are.

    Raises:
        ConfigError: an unknown argument or impossible sizes.
    """
    if tiling is None or isinstance(tiling, Tiling):
        return tiling
    unknown = set(tiling) - set(Tiling.__dataclass_fields__)
    if unknown:
        allowed = ", ".join(Tiling.__dataclass_fields__)
        raise ConfigError(f"tiling takes no '{sorted(unknown)[0]}' (allowed: {allowed})")
    return Tiling(**tiling)
