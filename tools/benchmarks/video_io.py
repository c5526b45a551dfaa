"""How many frames a second video is decoded, converted and encoded: by one thread, for clips made on the spot or given.

python tools/benchmarks/video_io.py                                   540p and 720p, H.264, H.265 of 10 bits and FFV1
python tools/benchmarks/video_io.py ../shared/data/train/*.mp4 --frames 48 --out video_io.json
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import vrestore
from vrestore.video import VideoReader, VideoWriter, probe
from vrestore.video.decode import Decoding

SIZES = {"540p": (540, 960), "720p": (720, 1280)}
ENCODINGS: dict[str, dict] = {
    "h264": {"codec": "h264"},
    "h264 ultrafast": {"codec": "h264", "preset": "ultrafast"},
    "h265 10 bit ultrafast": {"codec": "h265", "preset": "ultrafast", "bit_depth": 10},
    "ffv1": {"codec": "ffv1"},
    "png": {},
}
READ_BACK = ("h264", "h265 10 bit ultrafast", "ffv1", "png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="videos to read (default: clips made on the spot)")
    parser.add_argument("--frames", type=int, default=48, help="frames of a clip")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many runs counts")
    parser.add_argument("--torch-threads", type=int, default=1, help="threads of the conversion")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.torch_threads)

    with tempfile.TemporaryDirectory() as folder:
        if args.clips:
            rows = [measure_reading(clip, clip.name, args) for clip in track(args.clips, "reading")]
        else:
            rows = measure_made_clips(Path(folder), args)
    Console().print(as_table(rows))
    if args.out:
        settings = {"frames": args.frames, "repeats": args.repeats, "torch_threads": args.torch_threads}
        args.out.write_text(json.dumps({"settings": settings, "rows": rows, **machine()}, indent=2) + "\n", "utf-8")


def measure_made_clips(folder: Path, args: argparse.Namespace) -> list[dict]:
    rows = []
    jobs = [(size, name) for size in SIZES for name in ENCODINGS]
    for size, name in track(jobs, "encoding and reading"):
        frames = textured_frames(args.frames, *SIZES[size])
        target = folder / (f"{size} {name}".replace(" ", "_") + ("" if name == "png" else ".mkv"))
        row: dict[str, Any] = {"clip": f"{size} {name}", "encode": encode_rate(target, frames, ENCODINGS[name])}
        if name in READ_BACK:
            row |= measure_reading(target, row["clip"], args)
        rows.append(row)
    return rows


def encode_rate(target: Path, frames: torch.Tensor, options: dict) -> float:
    begin = time.perf_counter()
    with VideoWriter(target, **options) as writer:
        for start in range(0, len(frames), 8):
            writer.write(frames[start : start + 8])
    return len(frames) / (time.perf_counter() - begin)


def measure_reading(path: Path, name: str, args: argparse.Namespace) -> dict:
    info = probe(path)
    row: dict[str, Any] = {"clip": name, "size": f"{info.width}x{info.height}", "pix_fmt": info.pix_fmt}
    if info.kind == "file":
        row["decode"] = best_rate(lambda: decoded(path, args.frames), args.repeats)
    row["float32"] = best_rate(lambda: read(path, "float32", args.frames), args.repeats)
    row["uint8"] = best_rate(lambda: read(path, "uint8", args.frames), args.repeats)
    return row


def decoded(path: Path, most: int) -> int:
    with Decoding(path) as decoding:
        return sum(1 for _, _ in zip(range(most), decoding.frames(), strict=False))


def read(path: Path, dtype: str, most: int) -> int:
    count = 0
    with VideoReader(path, dtype=dtype) as reader:
        for block in reader.blocks(8):
            count += len(block)
            if count >= most:
                break
    return count


def best_rate(run: Callable[[], int], repeats: int) -> float:
    """Frames a second of the quickest run; one more run before warms up."""
    rates = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        rates.append(run() / (time.perf_counter() - begin))
    return max(rates[1:])


def textured_frames(count: int, height: int, width: int) -> torch.Tensor:
    """A moving texture (T, 3, H, W): smooth waves and fine grain, about as hard to code as footage."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 9, height), torch.linspace(0, 16, width), indexing="ij")
    waves = torch.stack([torch.sin(x + y), torch.cos(2 * y - x), torch.sin(x * y / 9)]) * 0.3 + 0.5
    grain = 0.06 * torch.randn(3, height, width, generator=generator)
    return torch.stack([torch.roll(waves + grain, (t, 2 * t), (-2, -1)) for t in range(count)]).clamp(0, 1)


def as_table(rows: list[dict]) -> Table:
    table = Table(title="frames a second")
    columns = ("clip", "size", "pix_fmt", "encode", "decode", "float32", "uint8")
    for name in columns:
        table.add_column(name, justify="right" if name in columns[3:] else "left")
    for row in rows:
        table.add_row(*(f"{v:.0f}" if isinstance(v := row.get(name, ""), float) else v for name in columns))
    return table


def machine() -> dict:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "av": av.__version__,
        "vrestore": vrestore.__version__,
        "commit": commit,
    }


if __name__ == "__main__":
    main()
