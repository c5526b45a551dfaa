"""Numbers that condition a network -> vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import RequestError


def sinusoidal_embedding(values: Tensor, dim: int) -> Tensor:
    """Cosines and sines of values (B,) at frequencies 10000^(-i / (dim // 2)), as float32 (B, dim).

    Cosines come first; an odd `dim` ends in a zero. Fractions are as welcome as whole numbers.
    """
    half = dim // 2
    values = values.float()
    frequencies = torch.pow(10000, -torch.arange(half, dtype=torch.float32, device=values.device) / half)
    angles = torch.outer(values, frequencies)
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, dim - 2 * half))


def per_sample(values: Tensor | Sequence[float] | float, batch: int, device: torch.device, name: str) -> Tensor:
    """One number for all samples, or one for each -> float32 (batch,) on `device`.

    Raises:
        RequestError: there are neither one nor `batch` finite numbers.
    """
    numbers = torch.as_tensor(values, device=device).float().flatten()
    if numbers.numel() not in (1, batch):
        raise RequestError(f"{name} holds {numbers.numel()} numbers for {batch} samples; give one, or one for each")
    return numbers.expand(batch)
