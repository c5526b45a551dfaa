"""Restoring files: decode, restore and encode, kept apart."""

from vrestore.inference.report import RestoreReport
from vrestore.inference.video import restore_video

__all__ = ["RestoreReport", "restore_video"]
