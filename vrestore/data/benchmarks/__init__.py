"""Benchmark datasets: whole clips, with their clean partners where there are any (DATASETS)."""

from vrestore.data.benchmarks.base import ClipBenchmark, Pair
from vrestore.data.benchmarks.bundled import BundledClips
from vrestore.data.benchmarks.drawn import DrawnClips
from vrestore.data.benchmarks.folders import FolderBenchmark, VrestoreBench
from vrestore.data.benchmarks.frozen import FrozenBenchmark
from vrestore.data.benchmarks.layouts import REDS4, SPMCS, UDM10, Vid4, VideoLQ
from vrestore.data.benchmarks.vimeo import Vimeo90KT

__all__ = [
    "REDS4",
    "SPMCS",
    "UDM10",
    "BundledClips",
    "ClipBenchmark",
    "DrawnClips",
    "FolderBenchmark",
    "FrozenBenchmark",
    "Pair",
    "Vid4",
    "VideoLQ",
    "Vimeo90KT",
    "VrestoreBench",
]
