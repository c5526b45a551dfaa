"""Large clips through a decoder in pieces: tiles blended by Gaussian weights, windows of frames blended in line.

Planning and blending are those of VEnhancer's later release (2024-09-10), order of the loops apart: here time is the
outer one, so that finished frames can leave while the rest is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.windows import sliding_windows

VARIANCE = 0.02  # of the Gaussian weights, where a tile is 1 wide


@dataclass(frozen=True)
class Tiling:
    """Sizes of the pieces; lengths are in latent cells, of which one is `downsample` pixels wide.

    Attributes:
        tile_h, tile_w: of a spatial tile; None does not cut that axis. The last tile may be 1.33 times as large.
        overlap_h, overlap_w: that neighbouring tiles share.
        window_frames: frames decoded together; None decodes all of them. The last window may be 1.33 times as long.
        overlap_frames: that neighbouring windows share.

    Raises:
        ConfigError: a size below 1, or an overlap that is not smaller than its tile.
    """

    tile_h: int | None = 72
    tile_w: int | None = 128
    overlap_h: int = 12
    overlap_w: int = 25
    window_frames: int | None = 5
    overlap_frames: int = 2

    def __post_init__(self) -> None:
        for size, overlap in (
            ("tile_h", "overlap_h"),
            ("tile_w", "overlap_w"),
            ("window_frames", "overlap_frames"),
        ):
            length, shared = getattr(self, size), getattr(self, overlap)
            if length is not None and not 0 <= shared < length:
                raise ConfigError(f"tiling needs 0 <= {overlap} < {size}; got {overlap}={shared}, {size}={length}")

    def windows(self, frames: int) -> list[tuple[int, int]]:
        """(start, stop) of the windows over that many frames."""
        return _cut(frames, self.window_frames, self.overlap_frames)

    def tiles(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """(top, bottom, left, right) of the tiles over a latent frame, in latent cells."""
        rows = _cut(height, self.tile_h, self.overlap_h)
        columns = _cut(width, self.tile_w, self.overlap_w)
        return [(*row, *column) for row in rows for column in columns]


def gaussian_weights(height: int, width: int) -> Tensor:
    """Weights (height, width) of a tile, float32: a bell over each axis that is largest in the middle.

    The middle of the rows lies at height / 2, half a row below that of the columns at (width - 1) / 2, as in the
    release; the sum of weights that blended tiles are divided by makes up for it.
    """
    rows = _bell(height, height / 2)
    columns = _bell(width, (width - 1) / 2)
    return torch.outer(rows, columns).float()


def blend_time(previous: Tensor, current: Tensor, overlap_frames: int) -> Tensor:
    """`current` (B, C, T, H, W) with its first frames faded in from the last ones of `previous`.

    Frame j of the overlap is (1 - j / overlap) of `previous` and j / overlap of `current`.
    """
    shared = min(overlap_frames, previous.shape[2], current.shape[2])
    if shared == 0:
        return current
    rise = (torch.arange(shared, device=current.device) / shared).to(current.dtype).view(1, 1, -1, 1, 1)
    faded = previous[:, :, -shared:] * (1 - rise) + current[:, :, :shared] * rise
    return torch.cat([faded, current[:, :, shared:]], dim=2)


def run_tiles(
    run: Callable[[Tensor], Tensor], x: Tensor, tiling: Tiling | None, *, step_in: int = 1, step_out: int = 1
) -> Tensor:
    """Run a function that is local in space tile by tile, and blend what it gives.

    Args:
        run: (…, H, W) to (…, H * step_out / step_in, W * step_out / step_in).
        x: (…, H, W), H and W multiples of `step_in`.
        tiling: the tiles; None runs the whole at once.
        step_in, step_out: elements of input and output to a latent cell: 1 and 8 for a decoder, 8 and 1 for an encoder.
    """
    height, width = x.shape[-2] // step_in, x.shape[-1] // step_in
    tiles = tiling.tiles(height, width) if tiling is not None else []
    if len(tiles) < 2:
        return run(x)
    total = torch.zeros(height * step_out, width * step_out, device=x.device)
    blended: Tensor | None = None
    for top, bottom, left, right in tiles:
        part = run(x[..., top * step_in : bottom * step_in, left * step_in : right * step_in])
        weights = gaussian_weights(*part.shape[-2:]).to(part.device)
        if blended is None:
            blended = part.new_zeros(*part.shape[:-2], height * step_out, width * step_out)
        rows, columns = slice(top * step_out, bottom * step_out), slice(left * step_out, right * step_out)
        blended[..., rows, columns] += part * weights.to(part.dtype)
        total[rows, columns] += weights
    assert blended is not None
    return blended.div_(total.to(blended.dtype))


def decode_in_pieces(
    decode: Callable[[Tensor], Tensor], latents: Tensor, tiling: Tiling | None, downsample: int
) -> Iterator[Tensor]:
    """Decode a clip piece by piece; finished frames come out in order while the rest is still to be decoded.

    Args:
        decode: latents (B, C, T, h, w) to frames (B, 3, T, h * downsample, w * downsample).
        latents: of the whole clip.
        tiling: the pieces; None decodes all at once.
        downsample: pixels to a latent cell.

    Yields:
        Frames (B, 3, t, H, W), each once.
    """
    windows = tiling.windows(latents.shape[2]) if tiling is not None else [(0, latents.shape[2])]
    held: Tensor | None = None  # frames of the window before that the next one fades into
    for i, (start, stop) in enumerate(windows):
        frames = run_tiles(decode, latents[:, :, start:stop], tiling, step_out=downsample)
        if held is not None:
            frames = blend_time(held, frames, held.shape[2])
        shared = stop - windows[i + 1][0] if i + 1 < len(windows) else 0
        ready = frames.shape[2] - shared
        held = frames[:, :, ready:].clone() if shared else None
        yield frames[:, :, :ready]


def _cut(length: int, piece: int | None, overlap: int) -> list[tuple[int, int]]:
    return [(0, length)] if piece is None else sliding_windows(length, piece, overlap)


def _bell(length: int, middle: float) -> Tensor:
    offset = torch.arange(length, dtype=torch.float64) - middle
    return torch.exp(-(offset**2) / (length**2 * 2 * VARIANCE)) / math.sqrt(2 * math.pi * VARIANCE)
