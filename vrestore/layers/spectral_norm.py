"""A convolution whose weight is divided by its largest singular value."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-12


class SpectralNormConv2d(nn.Conv2d):
    """A convolution under spectral normalisation (Miyato et al., ICLR 2018, arXiv 1802.05957).

    Numbers and names (``weight_orig``, ``weight_u``, ``weight_v``) are those of ``torch.nn.utils.spectral_norm``, which
    released discriminators were trained with, without the hooks that make a module hard to copy. In training mode each
    call makes one power iteration, which the buffers keep; in evaluation mode they rest.

    Args:
        as `nn.Conv2d`.
    """

    weight_orig: nn.Parameter
    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        weight = self._parameters.pop("weight")
        assert weight is not None
        self.register_parameter("weight_orig", weight)
        rows, columns = weight.flatten(1).shape
        self.register_buffer("weight_u", F.normalize(weight.new_empty(rows).normal_(), dim=0, eps=EPS))
        self.register_buffer("weight_v", F.normalize(weight.new_empty(columns).normal_(), dim=0, eps=EPS))

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.normalised_weight(), self.bias)

    def normalised_weight(self) -> Tensor:
        """The weight of this call; sums are in its own precision, whatever autocast says."""
        with torch.autocast(self.weight_orig.device.type, enabled=False):
            matrix = self.weight_orig.flatten(1)
            if self.training:
                with torch.no_grad():
                    self.weight_v.copy_(F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=EPS))
                    self.weight_u.copy_(F.normalize(torch.mv(matrix, self.weight_v), dim=0, eps=EPS))
            # Copies: the next call changes the buffers while this one's gradient may still be due.
            u, v = self.weight_u.clone(), self.weight_v.clone()
            return self.weight_orig / torch.dot(u, torch.mv(matrix, v))
