"""The time between two frames, in every form that a caller may give it."""

from __future__ import annotations

from numbers import Real

import torch
from torch import Tensor


def time_map(timestep: float | Tensor, like: Tensor) -> Tensor:
    """One channel that holds, at every pixel, the time of the frame asked for.

    Args:
        timestep: 0 is the first frame, 1 the second: a number, or a tensor of one value for all or one a sample, of the
            shapes (), (1,), (N,), (N, 1) or (N, 1, 1, 1).
        like: frames (N, C, H, W) whose size, type and device the map gets.

    Returns:
        (N, 1, H, W).

    Raises:
        ValueError: a time outside [0, 1], or a tensor of another shape.
    """
    n, _, h, w = like.shape
    if isinstance(timestep, Tensor):
        if timestep.numel() not in (1, n) or any(side != 1 for side in timestep.shape[1:]):
            raise ValueError(
                f"timestep must be a number or a tensor of the shape (N,) or (N, 1, 1, 1) for N={n} pairs of frames, "
                f"got {tuple(timestep.shape)}"
            )
        values = timestep.to(like.device, like.dtype).reshape(-1)
    elif isinstance(timestep, Real):
        values = torch.tensor([float(timestep)], device=like.device, dtype=like.dtype)
        if not 0 <= timestep <= 1:
            raise ValueError(f"timestep must lie from 0 (the first frame) to 1 (the second), got {timestep!r}")
    else:
        raise ValueError(f"timestep must be a number or a tensor, got {type(timestep).__name__}")
    return values.view(-1, 1, 1, 1).expand(n, 1, h, w)


def check_pair(img0: Tensor, img1: Tensor, multiple: int, network: str) -> None:
    """Refuse pairs of frames that a network cannot take.

    Args:
        img0, img1: frames (N, 3, H, W).
        multiple: what both sides must be a multiple of.
        network: its name, for the message.

    Raises:
        ValueError: says what the frames are and what is right.
    """
    if img0.shape != img1.shape or img0.ndim != 4 or img0.shape[1] != 3:
        raise ValueError(
            f"{network} takes two frames of one shape (N, 3, H, W), got {tuple(img0.shape)} and {tuple(img1.shape)}"
        )
    h, w = img0.shape[-2:]
    if h % multiple or w % multiple:
        raise ValueError(
            f"{network} takes frames whose height and width are multiples of {multiple}, got {h}x{w}; pad them, or use "
            f"a restorer, which pads and crops back"
        )
