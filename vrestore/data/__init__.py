"""Clips on disk -> training samples and benchmark pairs (DATASETS, TRANSFORMS)."""

from vrestore.data.benchmarks import (
    REDS4,
    SPMCS,
    UDM10,
    BundledClips,
    ClipBenchmark,
    FolderBenchmark,
    FrozenBenchmark,
    Vid4,
    VideoLQ,
    VrestoreBench,
)
from vrestore.data.clip_dataset import ClipDataset
from vrestore.data.collate import clip_collate
from vrestore.data.sampler import StreamSampler

__all__ = [
    "REDS4",
    "SPMCS",
    "UDM10",
    "BundledClips",
    "ClipBenchmark",
    "ClipDataset",
    "FolderBenchmark",
    "FrozenBenchmark",
    "StreamSampler",
    "Vid4",
    "VideoLQ",
    "VrestoreBench",
    "clip_collate",
]
