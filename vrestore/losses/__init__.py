"""Training losses: loss(prediction, target) -> scalar (LOSSES)."""

from vrestore.losses.cleaning import CleaningLoss
from vrestore.losses.flow import PhotometricFlowLoss
from vrestore.losses.pixel import CharbonnierLoss, L1Loss, MSELoss

__all__ = ["CharbonnierLoss", "CleaningLoss", "L1Loss", "MSELoss", "PhotometricFlowLoss"]
