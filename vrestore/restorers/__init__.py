"""Whole restoration methods, what a config's `model` names (MODELS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrestore._lazy import lazy_exports

if TYPE_CHECKING:
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

HOMES = {
    "AdversarialRestorer": "adversarial",
    "FramewiseAdversarialRestorer": "adversarial",
    "BaseRestorer": "base",
    "Capabilities": "capabilities",
    "Scales": "capabilities",
    "CascadeRestorer": "cascade",
    "FramewiseRestorer": "framewise",
    "InterpolationRestorer": "interpolation",
    "RegressionRestorer": "regression",
    "Request": "request",
    "ResampleRestorer": "resample",
    "SlidingWindowRestorer": "sliding_window",
    "SpaceTimeRestorer": "space_time",
    "VEnhancer": "venhancer",
}

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

__getattr__ = lazy_exports(__name__, HOMES)
