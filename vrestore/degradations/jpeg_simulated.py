"""JPEG compression computed with PyTorch: any device, any number of frames at once, no bit stream."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.degradations.base import BLOCK_FRAMES

# Quantisation tables of ITU-T T.81, annex K, for luma and chroma.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1, 0, 1.402), (1, -0.344136, -0.714136), (1, 1.772, 0))


def jpeg_simulated(frames_NCHW: Tensor, quality: float | Tensor, differentiable: bool = False) -> Tensor:
    """Frames after JPEG of the given quality, 4:2:0.

    It follows DiffJPEG (Shin & Song, 2017) as Real-ESRGAN trains with it: the tables of the standard are transposed,
    neither rounded nor limited; values between the steps are not rounded to levels; frames are filled up with black to
    whole blocks of 16.

    Args:
        frames_NCHW: RGB in [0, 1].
        quality: 1 to 100, for all or one a frame, (N,).
        differentiable: round by a cubic that has a gradient, instead of rounding.

    Returns:
        (N, 3, H, W) in [0, 1].
    """
    height, width = frames_NCHW.shape[-2:]
    quality = torch.as_tensor(quality, device=frames_NCHW.device).to(frames_NCHW.dtype).expand(len(frames_NCHW))
    factor = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    blocks = []
    for frames, step in zip(frames_NCHW.split(BLOCK_FRAMES), factor.split(BLOCK_FRAMES), strict=True):
        frames = F.pad(frames, (0, -width % 16, 0, -height % 16))
        ycc = _mixed(frames, _TO_YCC, 255.0)
        luma = _coded(ycc[:, 0] - 128, "luma", step, differentiable) + 128
        chroma = F.avg_pool2d(ycc[:, 1:], 2)
        chroma = _coded(chroma.flatten(0, 1), "chroma", step.repeat_interleave(2), differentiable)
        chroma = chroma.view(-1, 2, *chroma.shape[-2:]).repeat_interleave(2, -1).repeat_interleave(2, -2)
        rgb = _mixed(torch.cat((luma[:, None], chroma), 1), _TO_RGB, 1 / 255)
        blocks.append(rgb[..., :height, :width].clamp(0, 1))
    return torch.cat(blocks)


def _mixed(planes_NCHW: Tensor, matrix: tuple, factor: float) -> Tensor:
    weights = torch.tensor(matrix, dtype=torch.float64).mul_(factor).to(planes_NCHW)
    return torch.matmul(weights, planes_NCHW.flatten(2)).view_as(planes_NCHW)


def _coded(planes_NHW: Tensor, table: str, step_N: Tensor, differentiable: bool) -> Tensor:
    """The planes after transform, quantisation and back."""
    n, height, width = planes_NHW.shape
    transform = _transform().to(planes_NHW)
    blocks = planes_NHW.view(n, height // 8, 8, width // 8, 8).transpose(2, 3).reshape(n, -1, 64)
    steps = _table(table).to(planes_NHW) * step_N.view(n, 1, 1)
    coefficients = torch.matmul(blocks, transform.T).div_(steps)
    rounded = coefficients.round()
    coefficients = rounded + (coefficients - rounded) ** 3 if differentiable else rounded
    blocks = torch.matmul(coefficients * steps, transform)
    return blocks.view(n, height // 8, width // 8, 8, 8).transpose(2, 3).reshape(n, height, width)


@lru_cache(maxsize=1)
def _transform() -> Tensor:
    """(64, 64), orthogonal: the two-dimensional DCT of a block whose pixels lie in a row."""
    i = np.arange(8)
    dct = np.cos((2 * i[None] + 1) * i[:, None] * np.pi / 16) * np.where(i[:, None] == 0, np.sqrt(1 / 8), 0.5)
    return torch.from_numpy(np.kron(dct, dct))


@lru_cache(maxsize=2)
def _table(name: str) -> Tensor:
    """(64,): the quantisation table, transposed."""
    if name == "luma":
        return torch.tensor(_LUMA_TABLE, dtype=torch.float64).T.flatten()
    table = torch.full((8, 8), 99, dtype=torch.float64)
    table[:4, :4] = torch.tensor(_CHROMA_CORNER, dtype=torch.float64)
    return table.T.flatten()
