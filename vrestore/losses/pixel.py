"""Pixel losses: the mean over all elements of a distance between prediction and target."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.registry import LOSSES


@LOSSES.register_module()
class L1Loss(nn.Module):
    """Mean absolute error.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.loss_weight * (prediction.float() - target.float()).abs().mean()


@LOSSES.register_module()
class MSELoss(nn.Module):
    """Mean squared error.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.loss_weight * (prediction.float() - target.float()).square().mean()


@LOSSES.register_module()
class CharbonnierLoss(nn.Module):
    """``mean(sqrt((prediction - target)**2 + eps))``, a smooth L1 (Lai et al., CVPR 2017; eps 1e-12 as in BasicVSR).

    Args:
        loss_weight: factor of the result.
        eps: squared width of the quadratic part.
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-12):
        super().__init__()
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        difference = prediction.float() - target.float()
        return self.loss_weight * torch.sqrt(difference.square() + self.eps).mean()
