"""Optical flow between the neighbouring frames of clips, shared by the recurrent networks (BasicVSR and its kin)."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

PIXELS_AT_A_TIME = 2**20  # of the pairs given to the flow network in one call: it must not take memory with T


def compute_flow(flow_net: nn.Module, lq: Tensor) -> tuple[Tensor, Tensor]:
    """Flows between neighbours: ``backward[:, i]`` warps frame i+1 onto i, ``forward[:, i]`` warps frame i onto i+1.

    A clip of one frame has none. A mirrored clip needs its backward flows only: its forward flows are those in reverse
    order. Which clips are mirrored is found out for each clip, each time.

    Args:
        flow_net: ``net(reference_NCHW, support_NCHW) -> flow_N2HW``.
        lq: clips (B, T, 3, h, w), T >= 1.

    Returns:
        backward and forward (B, T-1, 2, h, w) in pixels, channels (dx, dy).
    """
    b, t, c, h, w = lq.shape
    if t == 1:
        empty = lq.new_zeros(b, 0, 2, h, w)
        return empty, empty
    first, second = lq[:, :-1], lq[:, 1:]
    backward = _flow(flow_net, first, second)
    mirrored = is_mirrored(lq)
    if not mirrored.any():
        return backward, _flow(flow_net, second, first)
    forward = backward.flip(1)
    if not mirrored.all():
        forward[~mirrored] = _flow(flow_net, second[~mirrored], first[~mirrored])
    return backward, forward


def is_mirrored(lq: Tensor) -> Tensor:
    """For each clip of (B, T, C, h, w): whether T is even and its second half is exactly its first half reversed."""
    b, t = lq.shape[:2]
    if t % 2:
        return torch.zeros(b, dtype=torch.bool, device=lq.device)
    return (lq[:, : t // 2] == lq[:, t // 2 :].flip(1)).flatten(1).all(dim=1)


def _flow(flow_net: nn.Module, ref: Tensor, supp: Tensor) -> Tensor:
    b, n, c, h, w = ref.shape
    at_a_time = max(PIXELS_AT_A_TIME // (h * w), 1)
    pairs = zip(ref.reshape(-1, c, h, w).split(at_a_time), supp.reshape(-1, c, h, w).split(at_a_time), strict=True)
    return torch.cat([flow_net(*pair) for pair in pairs]).view(b, n, 2, h, w)
