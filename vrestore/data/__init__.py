"""Clips on disk -> training samples and benchmark pairs (DATASETS, TRANSFORMS)."""

from vrestore.data.clip_dataset import ClipDataset
from vrestore.data.collate import clip_collate
from vrestore.data.sampler import StreamSampler

__all__ = ["ClipDataset", "StreamSampler", "clip_collate"]
