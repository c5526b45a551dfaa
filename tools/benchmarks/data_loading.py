"""Training samples a second of ClipDataset: no cache, shards, a new and an old disk cache, memory.

python tools/benchmarks/data_loading.py ../shared/data/train --crop 192 --frames 7 --out loading.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

import vrestore
from vrestore.data import ClipDataset, StreamSampler, clip_collate
from vrestore.data.shard import shard

KINDS = ("none", "shards", "disk, first pass", "disk, later", "ram")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder of clips")
    parser.add_argument("--frames", type=int, default=7, help="frames of a sample")
    parser.add_argument("--crop", type=int, default=192, help="side of the clean crop in pixels")
    parser.add_argument("--scale", type=float, default=4, help="scale of the bicubic degradation")
    parser.add_argument("--samples", type=int, default=200, help="samples timed with a cache; a tenth of them without")
    parser.add_argument("--workers", type=int, default=0, help="worker processes; 0 loads in this one")
    parser.add_argument("--shard-mib", type=int, default=64, help="size of a shard")
    parser.add_argument("--cache-gib", type=float, default=8, help="budget of either cache")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)

    console, rows = Console(), []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            rows.append(measure(kind, args, folder))
            console.print(f"{kind}: {rows[-1]['samples_per_second']:.1f} samples a second")
    console.print(as_table(args, rows))
    if args.out:
        report = {"settings": {**vars(args), "out": None}, "rows": rows, **machine()}
        args.out.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")


def measure(kind: str, args: argparse.Namespace, folder: str) -> dict:
    """Build the dataset, take one sample to warm up (but for the first pass over a disk cache), and time the rest."""
    cache = {"none": None, "shards": None, "ram": "ram"}.get(kind, "disk")
    root = args.root
    if kind == "shards":
        root = Path(folder) / "shards"
        shard(args.root, root, shard_bytes=args.shard_mib * 2**20, scenes=False, progress=False)
    n_samples = max(1, args.samples // 10) if cache is None else args.samples
    begin = time.perf_counter()
    dataset = ClipDataset(
        root,
        degradation={"type": "BicubicDown", "scale": args.scale},
        frames=args.frames,
        crop_px=args.crop,
        too_small="skip",
        cache=cache,
        cache_bytes=int(args.cache_gib * 2**30),
        cache_dir=folder,
    )
    built = time.perf_counter() - begin
    loader = DataLoader(
        dataset, batch_size=1, sampler=StreamSampler(dataset), collate_fn=clip_collate, num_workers=args.workers
    )
    stream = iter(loader)
    if kind != "disk, first pass":
        next(stream)
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in itertools.islice(stream, n_samples):
        pass
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return {
        "cache": kind,
        "clips": len(dataset.clips),
        "kept_clips": len(dataset.cache.kept),
        "build_seconds": round(built, 2),
        "samples": n_samples,
        "samples_per_second": round(n_samples / seconds, 2),
        "frames_per_second": round(n_samples * args.frames / seconds, 1),
        # Of this process: what a sample costs on a machine that is busy with other work too.
        "cpu_ms_per_sample": None if args.workers else round(1000 * cpu / n_samples, 1),
    }


def as_table(args: argparse.Namespace, rows: list[dict]) -> Table:
    where = f"{args.frames} frames, {args.crop} px, x{args.scale:g}, {args.workers or 'no'} worker(s)"
    table = Table(title=f"ClipDataset over {args.root}: {where}")
    for heading in ("cache", "clips kept", "build, s", "samples/s", "frames/s", "CPU ms/sample"):
        table.add_column(heading, justify="left" if heading == "cache" else "right")
    for row in rows:
        kept = f"{row['kept_clips']} of {row['clips']}"
        cpu = "-" if row["cpu_ms_per_sample"] is None else row["cpu_ms_per_sample"]
        values = (row["build_seconds"], row["samples_per_second"], row["frames_per_second"], cpu)
        table.add_row(row["cache"], kept, *map(str, values))
    return table


def machine() -> dict:
    """What the numbers depend on besides the settings."""
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "vrestore": vrestore.__version__,
        "commit": git.stdout.strip() or None,
    }


if __name__ == "__main__":
    main()
