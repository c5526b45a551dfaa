"""Conditioning: what a backbone adds to its features (ADAPTERS)."""

from vrestore.adapters.base import BaseAdapter, ControlResiduals
from vrestore.adapters.video_controlnet import VideoControlNet

__all__ = ["BaseAdapter", "ControlResiduals", "VideoControlNet"]
