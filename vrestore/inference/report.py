"""RestoreReport: what a restoration did, and what it cost."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True)
class RestoreReport:
    """What became of a file.

    Attributes:
        source, target: paths.
        model: name of the restorer.
        frames_in, frames_out: numbers of frames.
        size_in, size_out: (width, height) in pixels.
        fps_in, fps_out: average frames a second; None for a folder that was given none.
        codec, pix_fmt: what the output is encoded with.
        sound_streams: how many were copied.
        block_frames: frames restored at a time; all of them where the model needs the whole clip.
        overlap_frames: frames of context on either side of a block.
        seconds: wall time of everything.
        seconds_restoring: of which in the model.
        peak_memory_bytes: largest resident memory of the process so far.
        peak_device_bytes: largest memory on the GPU; None without one.
        warnings: sentences on what a person should know.
    """

    source: Path
    target: Path
    model: str
    frames_in: int
    frames_out: int
    size_in: tuple[int, int]
    size_out: tuple[int, int]
    fps_in: Fraction | None
    fps_out: Fraction | None
    codec: str
    pix_fmt: str
    sound_streams: int
    block_frames: int
    overlap_frames: int
    seconds: float
    seconds_restoring: float
    peak_memory_bytes: int
    peak_device_bytes: int | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds_per_frame(self) -> float:
        """Wall time for each output frame."""
        return self.seconds / max(self.frames_out, 1)

    def as_dict(self) -> dict:
        """Plain data, ready for JSON."""
        data = asdict(self)
        for name in ("source", "target"):
            data[name] = str(data[name])
        for name in ("fps_in", "fps_out"):
            data[name] = None if data[name] is None else float(data[name])
        return data | {"seconds_per_frame": self.seconds_per_frame}

    def __str__(self) -> str:
        memory = f"{self.peak_memory_bytes / 2**20:.0f} MiB"
        if self.peak_device_bytes is not None:
            memory += f", {self.peak_device_bytes / 2**20:.0f} MiB on the GPU"
        rate = f" at {float(self.fps_out):.6g} fps" if self.fps_out else ""
        sound = ", with sound" if self.sound_streams else ""
        before, after = "x".join(map(str, self.size_in)), "x".join(map(str, self.size_out))
        lines = [
            f"{self.target}: {self.frames_out} frames of {after}{rate}{sound} ({self.codec}, {self.pix_fmt}) "
            f"by {self.model} from {self.frames_in} of {before}",
            f"{self.seconds:.1f} s, {self.seconds_per_frame:.3f} s a frame, peak memory {memory}",
        ]
        return "\n".join(lines + [f"note: {warning}" for warning in self.warnings])


def peak_memory_bytes() -> int:
    """The largest resident memory that this process has had, in bytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
