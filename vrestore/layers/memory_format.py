"""The order in which an image's numbers lie in memory; no number changes."""

from __future__ import annotations

import torch
from torch import Tensor


def for_convolutions(x: Tensor) -> Tensor:
    """Images (N, C, H, W) in the order that convolutions are fastest in: channels last on a CPU, as they are elsewhere.

    What convolutions, activations and warps make of them keeps that order.
    """
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def layout_of(x: Tensor) -> torch.memory_format:
    """Whether images (N, C, H, W) lie channels last, or in the order of their axes."""
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format
