"""What an output costs: seconds and peak memory of one call."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")

TIME_NOTE = (
    "time inside restore(), one call a clip, first call included; loading weights and clips and scoring excluded"
)
MEMORY_NOTE = "peak resident memory of the whole process during restore() (libraries and the clip included)"


@dataclass(frozen=True)
class Cost:
    """Cost of one call.

    Attributes:
        seconds: wall-clock time, the device's queue emptied before and after.
        peak_rss_bytes: peak resident memory of the process during the call.
        rss_before_bytes: resident memory just before it.
        peak_cuda_bytes: peak memory of tensors on the GPU during the call; None without one.
        memory_source: how the peak was read; `process maximum` may stem from before the call.
    """

    seconds: float
    peak_rss_bytes: int | None
    rss_before_bytes: int | None
    peak_cuda_bytes: int | None
    memory_source: str


def measure(call: Callable[[], Result], device: torch.device) -> tuple[Result, Cost]:
    """Run `call` and measure it.

    Args:
        call: what to run.
        device: where it works; a CUDA device is synchronised.
    """
    _release_unused_memory()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    resettable = _reset_peak_rss()
    before = _status_bytes("VmRSS")
    start = time.perf_counter()
    result = call()
    if cuda:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    peak = _status_bytes("VmHWM") if resettable else _process_maximum()
    return result, Cost(
        seconds=seconds,
        peak_rss_bytes=peak,
        rss_before_bytes=before,
        peak_cuda_bytes=torch.cuda.max_memory_allocated(device) if cuda else None,
        memory_source="during the call" if resettable else "process maximum",
    )


def _release_unused_memory() -> None:
    """Give freed memory back to the system, so that one method's peak is not another's leftovers."""
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _reset_peak_rss() -> bool:
    """Linux only: start the kernel's high-water mark of this process anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def _status_bytes(field: str) -> int | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _process_maximum() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
