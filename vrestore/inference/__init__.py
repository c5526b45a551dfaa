"""Restoring clips and files: decode, restore and encode, kept apart."""

from vrestore.inference.clip import restore_clip
from vrestore.inference.report import RestoreReport
from vrestore.inference.video import restore_video

__all__ = ["RestoreReport", "restore_clip", "restore_video"]
