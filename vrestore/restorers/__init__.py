"""Whole restoration methods, what a config's `model` names (MODELS)."""

from vrestore.restorers.adversarial import AdversarialRestorer, FramewiseAdversarialRestorer
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.cascade import CascadeRestorer
from vrestore.restorers.framewise import FramewiseRestorer
from vrestore.restorers.interpolation import InterpolationRestorer
from vrestore.restorers.regression import RegressionRestorer
from vrestore.restorers.request import Request
from vrestore.restorers.resample import ResampleRestorer
from vrestore.restorers.sliding_window import SlidingWindowRestorer
from vrestore.restorers.space_time import SpaceTimeRestorer
from vrestore.restorers.venhancer import VEnhancer

__all__ = [
    "AdversarialRestorer",
    "BaseRestorer",
    "Capabilities",
    "CascadeRestorer",
    "FramewiseAdversarialRestorer",
    "FramewiseRestorer",
    "InterpolationRestorer",
    "RegressionRestorer",
    "Request",
    "ResampleRestorer",
    "Scales",
    "SlidingWindowRestorer",
    "SpaceTimeRestorer",
    "VEnhancer",
]
