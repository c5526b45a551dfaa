"""What restoring with VEnhancer takes beside its weights, told before it starts. All sizes are in bytes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vrestore.autoencoders import Autoencoder
from vrestore.autoencoders.tiling import Tiling
from vrestore.memory import activation_bytes, training_bytes

FLOAT = 4  # latents and frames are float32 outside the networks
TEXT_TOKENS = 77
NO_FORECAST_FEATURES = 2**23  # a clip with fewer values in a feature map takes little, and needs no forecast


def denoising_bytes(backbone: Any, frames: int, rows: int, columns: int, dtype: torch.dtype | None) -> int:
    """One call of the joint network on a window of latents, with the key frames that condition it.

    Args:
        backbone: the joint network; one without memory will do.
        frames, rows, columns: of the window, in latents.
        dtype: of an autocast around the call; None is none.
    """
    sizes = backbone.sizes
    latents, text = (1, sizes["in_dim"], frames, rows, columns), (1, TEXT_TOKENS, sizes["context_dim"])
    hint = sizes["dim"] * frames * rows * columns * FLOAT

    def call(net: Any, x: Tensor, y: Tensor) -> Tensor:
        t = torch.zeros(1)
        return net.denoise(x, t, y, net.adapter(x, t, y))

    return hint + activation_bytes(backbone, call, latents, text, dtype=dtype)


def encoding_bytes(autoencoder: Autoencoder, rows: int, columns: int) -> int:
    """One frame of that many latents, or the largest tile of it."""
    rows, columns = _largest_tile(autoencoder.encode_tiling, rows, columns)
    cell = autoencoder.downsample
    shape = (1, autoencoder.frame_channels, rows * cell, columns * cell)
    return activation_bytes(autoencoder, lambda vae, x: vae.posterior_of(x), shape)


def decoding_bytes(autoencoder: Autoencoder, frames: int, rows: int, columns: int, dtype: torch.dtype | None) -> int:
    """The largest window of frames, tile by tile, beside the finished frames of it and of the one before."""
    tiling = autoencoder.tiling
    window = frames if autoencoder.is_temporal else 1
    if tiling is not None:
        window = max(stop - start for start, stop in tiling.windows(frames))
    shape = (1, autoencoder.latent_channels, window, *_largest_tile(tiling, rows, columns))
    finished = autoencoder.frame_channels * window * rows * columns * autoencoder.downsample**2 * FLOAT
    return 2 * finished + activation_bytes(autoencoder, lambda vae, z: vae.decode_raw(z), shape, dtype=dtype)


def training_need(
    model: Any, batch: int, frames: int, height: int, width: int, dtype: torch.dtype | None
) -> dict[str, int] | None:
    """The stages of a training step, see `BaseRestorer.training_need`; None where the features are few."""
    rows, columns = (side // model.autoencoder.downsample for side in (height, width))
    sizes = model.backbone.sizes
    if sizes["dim"] * batch * frames * rows * columns < NO_FORECAST_FEATURES:
        return None

    def call(net: Any, x: Tensor, y: Tensor) -> Tensor:
        t = torch.zeros(batch)
        return (net.denoise(x, t, y, net.adapter(x, t, y)).float() - x).square().mean()

    latents, text = (batch, sizes["in_dim"], frames, rows, columns), (batch, TEXT_TOKENS, sizes["context_dim"])
    clips = 2 * batch * frames * 3 * height * width * FLOAT
    held = 6 * batch * sizes["in_dim"] * frames * rows * columns * FLOAT  # latents, keys, their noise, state, target
    hint = batch * frames * sizes["dim"] * rows * columns * FLOAT
    return {
        "encoding a frame": clips + held + encoding_bytes(model.autoencoder, rows, columns),
        "forward and backward": clips + held + hint + training_bytes(model.backbone, call, latents, text, dtype=dtype),
    }


def _largest_tile(tiling: Tiling | None, rows: int, columns: int) -> tuple[int, int]:
    tiles = [(0, rows, 0, columns)] if tiling is None else tiling.tiles(rows, columns)
    return max(bottom - top for top, bottom, _, _ in tiles), max(right - left for _, _, left, right in tiles)
