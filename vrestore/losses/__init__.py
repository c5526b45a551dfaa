"""Training losses: loss(prediction, target) -> scalar (LOSSES)."""

from vrestore.losses.cleaning import CleaningLoss
from vrestore.losses.flow import PhotometricFlowLoss
from vrestore.losses.gan import GANLoss
from vrestore.losses.perceptual import PerceptualLoss
from vrestore.losses.pixel import CharbonnierLoss, L1Loss, MSELoss

__all__ = [
    "CharbonnierLoss",
    "CleaningLoss",
    "GANLoss",
    "L1Loss",
    "MSELoss",
    "PerceptualLoss",
    "PhotometricFlowLoss",
]
