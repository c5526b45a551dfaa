"""The canvas: the target size, and the border around it that makes a size which the network can serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Canvas:
    """Where the resized frames lie in what the network works on; all in pixels.

    Attributes:
        height, width: target size.
        padding: border (left, right, top, bottom).
        white: a white border, as the official releases have it, instead of a mirrored one.
        zoom: factor that the frames are resized by, where it is not told by the target size: the grid of samples is
            then that of the factor, though the size was rounded.
    """

    height: int
    width: int
    padding: tuple[int, int, int, int]
    white: bool = False
    zoom: float | None = None

    @property
    def whole(self) -> tuple[int, int]:
        """(height, width) with the border."""
        left, right, top, bottom = self.padding
        return self.height + top + bottom, self.width + left + right

    def fill(self, frames_TCHW: Tensor, kernel: str = "bilinear") -> Tensor:
        """Resize frames in [0, 1] to the target size, bilinearly as in training or ``bicubic``, and add the border."""
        if self.zoom is not None:
            resized = F.interpolate(frames_TCHW, scale_factor=self.zoom, mode=kernel, align_corners=False)
        else:
            resized = F.interpolate(frames_TCHW, size=(self.height, self.width), mode=kernel, align_corners=False)
        if self.white:
            return F.pad(resized, self.padding, value=1.0)
        return mirror_pad(resized, self.padding)

    def cut(self, frames_TCHW: Tensor) -> Tensor:
        """Take the border off."""
        left, _, top, _ = self.padding
        return frames_TCHW[..., top : top + self.height, left : left + self.width]


def least_canvas(height: int, width: int, cell: int, least_legal_size: Callable[[int, int], tuple[int, int]]) -> Canvas:
    """The smallest canvas for a target size, with the target in its middle.

    Args:
        height, width: target size in pixels.
        cell: pixels to a latent cell.
        least_legal_size: smallest latent height and width, which hold the given ones, that the network can serve.
    """
    rows, columns = least_legal_size(-(-height // cell), -(-width // cell))
    down, right = rows * cell - height, columns * cell - width
    return Canvas(height, width, (right // 2, right - right // 2, down // 2, down - down // 2))


def mirror_pad(frames: Tensor, padding: tuple[int, int, int, int]) -> Tensor:
    """Mirror frames (…, H, W) at their edges, as often as the border (left, right, top, bottom) needs it."""
    left, right, top, bottom = padding
    rows = _mirrored(frames.shape[-2], top, bottom).to(frames.device)
    columns = _mirrored(frames.shape[-1], left, right).to(frames.device)
    return frames.index_select(-2, rows).index_select(-1, columns)


def _mirrored(length: int, before: int, after: int) -> Tensor:
    """Indices of a mirrored axis; the edge itself is not repeated (only an axis of length 1 can but repeat it)."""
    period = max(2 * (length - 1), 1)
    index = torch.arange(-before, length + after) % period
    return torch.minimum(index, period - index) if length > 1 else torch.zeros_like(index)
