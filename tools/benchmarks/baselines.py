"""What each baseline costs: parameters, multiply-adds, seconds a frame and peak memory, at one stated size.

    python tools/benchmarks/baselines.py                       # all of them, into docs/results/baselines.json
    python tools/benchmarks/baselines.py basicvsr-reds4 rife-4.25 --out trial.json
    python tools/render_docs.py docs/baselines.md              # the table

Each entry of the zoo is built with reference weights and restores the same drawn clip in a process of its own: once to
warm up and to count, then `--repeats` times to be timed, of which the fastest counts. Run it on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    *("edvr-m-reds4", "edvr-l-reds4", "edvr-l-vimeo90k", "edvr-l-srblur-reds4", "edvr-l-deblur-reds4"),
    *("basicvsr-small-x4", "basicvsr-reds4", "iconvsr-reds4", "basicvsr-pp-reds4", "basicvsr-pp-ntire-vsr"),
    *("basicvsr-pp-ntire-decompress-track1", "basicvsr-pp-deblur-dvd", "realbasicvsr", "rvrt-reds4"),
    *("realesrgan-x4plus", "realesrgan-x2plus", "realesrgan-x4plus-anime-6b", "realesr-animevideov3"),
    *("realesr-general-x4v3", "swinir-real-m-x4", "swinir-real-l-x4"),
    *("rife-paper", "rife-paper-m", "rife-4.6", "rife-4.22", "rife-4.22-lite", "rife-4.25", "rife-4.26"),
    *("zooming-slowmo", "videoinr"),
)
NOTES = (
    "input: frames, width and height of what is given; networks that keep the frame's size or only raise the rate are "
    "given as large a frame as the others, so that their output is smaller",
    "a frame is an output frame; where the frame rate is doubled, the given frames among them cost nothing",
    "multiply-adds: half of the operations that torch.utils.flop_counter counts, of convolutions and matrix products; "
    "not counted are warps and other sampling (grid_sample), resizing, the sampling of deformable convolutions, "
    "normalisations and activations",
    "seconds a frame: inside restore(), the fastest of the repeats after one to warm up; fp32",
    "peak memory: resident memory of the process during restore(), libraries (some 300 MiB) and weights included",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="entries of the zoo (default: one of every kind)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "baselines.json")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 64), metavar=("H", "W"), help="of what is given")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # the child that measures one entry
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure_entry(arguments.names[0], arguments)))
        return 0
    rows = [_in_child(name, arguments) for name in arguments.names or NAMES]
    import torch

    from vrestore.evaluation.environment import describe_environment

    torch.set_num_threads(arguments.threads)
    data = {"notes": NOTES, "environment": describe_environment(torch.device("cpu")), "rows": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {arguments.out}", file=sys.stderr)
    return 1 if any(row.get("error") for row in rows) else 0


def measure_entry(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Build one entry of the zoo with reference weights, count and time it; meant for a process of its own."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vrestore import Request, load_restorer
    from vrestore.data.benchmarks.drawn import draw_frame
    from vrestore.evaluation.cost import measure

    torch.set_num_threads(arguments.threads)
    restorer = load_restorer(name, weights="reference:", device="cpu")
    frames = torch.stack([draw_frame(*arguments.size, t) for t in range(arguments.frames)])
    faster = 2 in restorer.capabilities.temporal_scales
    request = Request(temporal_scale=2 if faster else None)
    with FlopCounterMode(display=False) as counter:
        restored = restorer.restore(frames, request)
    costs = [
        measure(lambda: restorer.restore(frames, request), torch.device("cpu"))[1] for _ in range(arguments.repeats)
    ]
    height, width = arguments.size
    return {
        "name": name,
        "input": f"{arguments.frames} x {width}x{height}",
        "output": [len(restored), *restored.shape[-2:]],
        "parameters": sum(p.numel() for p in restorer.parameters()),
        "macs_per_frame": counter.get_total_flops() / 2 / len(restored),
        "seconds_per_frame": min((cost.seconds for cost in costs), default=math.nan) / len(restored),
        "peak_rss_bytes": max((cost.peak_rss_bytes or 0 for cost in costs), default=0),
    }


def _in_child(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    options = {"frames": [arguments.frames], "size": arguments.size}
    options |= {"repeats": [arguments.repeats], "threads": [arguments.threads]}
    command = [sys.executable, str(Path(__file__).resolve()), name, "--one"]
    command += [word for key, values in options.items() for word in (f"--{key}", *map(str, values))]
    print(name, file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    error = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
    height, width = arguments.size
    return {"name": name, "input": f"{arguments.frames} x {width}x{height}", "error": error}


if __name__ == "__main__":
    sys.exit(main())
