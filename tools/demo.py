"""The demo: compare the restorers of the quickstart benchmark, then restore one video file from end to end.

Everything lies in outputs/demo afterwards. With ../shared/data beside the checkout, or VRESTORE_DATA set, it runs on
that footage, else on photographs under a simulated moving camera.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("outputs") / "demo"
MODEL = "basicvsr-small-x4"


def main() -> int:
    import torch

    from vrestore.cli import main as vrestore
    from vrestore.config import load_config
    from vrestore.registry import DATASETS

    start = time.perf_counter()
    os.environ["VRESTORE_DATA"] = os.environ.get("VRESTORE_DATA", "")
    torch.set_num_threads(os.cpu_count() or 1)
    config = ROOT / "configs" / "benchmarks" / "quickstart.py"
    print("1. every method on the same clips, one table\n", flush=True)
    status = vrestore(["test", str(config), "--work-dir", str(OUT)])
    if status:
        return status

    print(f"\n2. one video file through {MODEL}: decode, restore, encode, check\n", flush=True)
    sample = DATASETS.build(load_config(config).benchmarks[0].dataset)[0]
    low, high = OUT / "low.mp4", OUT / "restored.mp4"
    _write_low(sample, low)
    status = vrestore(["restore", str(low), str(high), "--model", MODEL, "--overwrite"])
    print(f"\n{time.perf_counter() - start:.0f} s in all; tables, pictures and videos are in {OUT}")
    return status


def _write_low(sample: dict, path: Path) -> None:
    """The degraded clip as a nearly lossless video file, to have something to restore."""
    from vrestore.video import VideoWriter

    with VideoWriter(path, fps=sample["fps"] or 25, crf=6, overwrite=True) as writer:
        writer.write(sample["lq"])


if __name__ == "__main__":
    sys.exit(main())
