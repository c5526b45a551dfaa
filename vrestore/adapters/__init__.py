"""Conditioning: what a backbone adds to its features (ADAPTERS)."""

from vrestore.adapters.base import BaseAdapter, ControlResiduals, at_key_frames
from vrestore.adapters.text import EmptyText, TextEncoder
from vrestore.adapters.text_openclip import OpenCLIPText
from vrestore.adapters.text_tokenizer import ClipTokenizer
from vrestore.adapters.text_tower import OpenCLIPTextTower
from vrestore.adapters.video_controlnet import VideoControlNet

__all__ = [
    "BaseAdapter",
    "ClipTokenizer",
    "ControlResiduals",
    "EmptyText",
    "OpenCLIPText",
    "OpenCLIPTextTower",
    "TextEncoder",
    "VideoControlNet",
    "at_key_frames",
]
