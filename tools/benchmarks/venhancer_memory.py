"""What VEnhancer takes beside its weights at official size, foreseen for clips of several sizes; nothing is computed.

    python tools/benchmarks/venhancer_memory.py [--out FILE.json] [--docs FILE.md]

In the docs, what stands between these two lines is replaced:

    <!-- venhancer memory -->
    <!-- /venhancer memory -->
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from vrestore.checkpoints.weightless import weightless  # noqa: E402
from vrestore.config import load_config  # noqa: E402
from vrestore.evaluation.environment import describe_environment  # noqa: E402
from vrestore.registry import MODELS  # noqa: E402
from vrestore.restorers import Request  # noqa: E402

BLOCK = re.compile(r"(<!-- venhancer memory -->\n).*?(<!-- /venhancer memory -->)", re.DOTALL)
GIB = 2**30
# Frames, height and width in, scale and multiple of the frame rate.
JOBS = [(16, 180, 320, 2, 1), (16, 180, 320, 4, 1), (16, 180, 320, 4, 2), (16, 270, 480, 4, 2), (100, 270, 480, 4, 1)]
TILES = {"tile_h": 48, "tile_w": 80, "overlap_h": 12, "overlap_w": 16, "window_frames": 3, "overlap_frames": 1}
WINDOWS = {"window_frames": 16, "overlap_frames": 8}
# Precision of the network's weights, settings of the model, and the tiles of the decoder (None: the release's).
SETTINGS: dict[str, tuple[torch.dtype, dict, dict | None]] = {
    "float32": (torch.float32, {}, None),
    "bf16 weights": (torch.bfloat16, {}, None),
    "and small tiles": (torch.bfloat16, {}, TILES),
    "and windows of 16": (torch.bfloat16, WINDOWS, TILES),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "venhancer_memory.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "venhancer.md", help="where the table is put")
    args = parser.parse_args()
    rows = [row for name, settings in SETTINGS.items() for row in foresee(name, *settings)]
    report = {"environment": describe_environment(torch.device("cpu")), "rows": rows}
    args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = as_markdown(rows)
    print(table)
    text = args.docs.read_text(encoding="utf-8")
    args.docs.write_text(BLOCK.sub(lambda match: match[1] + table + match[2], text), encoding="utf-8")


def foresee(name: str, dtype: torch.dtype, settings: dict, tiles: dict | None) -> list[dict]:
    """The need of every job under some settings, in bytes."""
    model = {**load_config(ROOT / "configs/venhancer/venhancer_full.py").model, **settings}
    if tiles is not None:
        model["autoencoder"] = {**model["autoencoder"], "tiling": tiles}
    with weightless():
        restorer = MODELS.build(model)
        restorer.backbone.to(dtype)
    rows = []
    for frames, height, width, scale, multiple in JOBS:
        need = restorer.memory_need(Request(scale=scale, temporal_scale=multiple), frames, height, width)
        assert need is not None
        job = {"frames": frames, "height": height, "width": width, "scale": scale, "multiple": multiple}
        rows.append({"settings": name, **job, "total": need.total, "stages": dict(need.stages)})
    return rows


def as_markdown(rows: list[dict]) -> str:
    names = list(dict.fromkeys(row["settings"] for row in rows))
    lines = ["| clip | " + " | ".join(f"{name} (GiB)" for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for job in JOBS:
        frames, height, width, scale, multiple = job
        chosen = [r for r in rows if tuple(r[k] for k in ("frames", "height", "width", "scale", "multiple")) == job]
        clip = f"{frames} frames of {width} x {height}, x{scale} in space, x{multiple} in time"
        lines.append(f"| {clip} | " + " | ".join(_cell(row) for row in chosen) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict) -> str:
    """The sum, and the stage that takes most."""
    widest = max(row["stages"], key=row["stages"].get)
    return f"{row['total'] / GIB:.1f} ({widest.split()[0]})"


if __name__ == "__main__":
    main()
