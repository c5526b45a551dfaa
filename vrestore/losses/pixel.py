"""Pixel losses: the mean over all elements of a distance between prediction and target."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.registry import LOSSES


class PixelLoss(nn.Module):
    """A distance between two tensors of one shape, computed in float32 and averaged over all elements.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.loss_weight * self.distance(prediction.float() - target.float()).mean()

    def distance(self, difference: Tensor) -> Tensor:
        """The distance of each element from its difference."""
        raise NotImplementedError(f"{type(self).__name__} has no distance")


@LOSSES.register_module()
class L1Loss(PixelLoss):
    """Mean absolute error."""

    def distance(self, difference: Tensor) -> Tensor:
        return difference.abs()


@LOSSES.register_module()
class MSELoss(PixelLoss):
    """Mean squared error."""

    def distance(self, difference: Tensor) -> Tensor:
        return difference.square()


@LOSSES.register_module()
class CharbonnierLoss(PixelLoss):
    """``mean(sqrt((prediction - target)**2 + eps))``, a smooth L1 (Lai et al., CVPR 2017; eps 1e-12 as in BasicVSR).

    Args:
        loss_weight: factor of the result.
        eps: squared width of the quadratic part.
    """

    def __init__(self, loss_weight: float = 1.0, eps: float = 1e-12):
        super().__init__(loss_weight)
        self.eps = eps

    def distance(self, difference: Tensor) -> Tensor:
        return torch.sqrt(difference.square() + self.eps)
