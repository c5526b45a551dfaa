"""What a training step of VEnhancer takes in each process at official size, foreseen; nothing is computed.

    python tools/benchmarks/venhancer_training_memory.py [--out FILE.json] [--docs FILE.md]

In the docs, what stands between these two lines is replaced:

    <!-- venhancer training memory -->
    <!-- /venhancer training memory -->
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from vrestore.checkpoints.weightless import weightless  # noqa: E402
from vrestore.config import load_config  # noqa: E402
from vrestore.engine.plan import StepMemory, step_memory  # noqa: E402
from vrestore.engine.train import prepare_config  # noqa: E402
from vrestore.evaluation.environment import describe_environment  # noqa: E402
from vrestore.memory import GIB  # noqa: E402
from vrestore.registry import MODELS  # noqa: E402

BLOCK = re.compile(r"(<!-- venhancer training memory -->\n).*?(<!-- /venhancer training memory -->)", re.DOTALL)
LORA = {"rank": 16}
CONTROLNET, UNSAVING = {"training": {"trainable": "controlnet"}}, {"gradient_checkpointing": False}
# What trains, frames, height, width of the crop, processes that share the weights, and changes of the model.
JOBS: list[tuple[str, int, int, int, int, dict]] = [
    ("ControlNet, as in the paper", 32, 720, 1280, 16, CONTROLNET),
    ("ControlNet", 32, 720, 1280, 8, CONTROLNET),
    ("ControlNet", 16, 720, 1280, 1, CONTROLNET),
    ("ControlNet", 16, 336, 512, 1, CONTROLNET),
    ("ControlNet, no checkpointing", 16, 336, 512, 1, {**CONTROLNET, "backbone": UNSAVING}),
    ("LoRA of rank 16", 32, 720, 1280, 1, {"training": {}, "lora": LORA}),
    ("LoRA of rank 16", 16, 336, 512, 1, {"training": {}, "lora": LORA}),
    ("UNet and ControlNet", 16, 336, 512, 1, {"training": {"trainable": "all"}}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "venhancer_training_memory.json")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "training.md", help="where the table is put")
    args = parser.parse_args()
    rows = []
    for job in JOBS:
        rows.append(as_row(job, foresee(*job[1:])))
        print(as_markdown(rows[-1:]).splitlines()[-1], flush=True)
    report = {"environment": describe_environment(torch.device("cpu")), "rows": rows}
    args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    text = args.docs.read_text(encoding="utf-8")
    args.docs.write_text(BLOCK.sub(lambda match: match[1] + as_markdown(rows) + match[2], text), encoding="utf-8")


def foresee(frames: int, height: int, width: int, processes: int, changes: dict) -> StepMemory:
    """A step of the paper's recipe, one clip a process, with another crop and changes of the model."""
    cfg = copy.deepcopy(prepare_config(load_config(ROOT / "configs/venhancer/venhancer_train_720p.py")).to_dict())
    cfg["train_dataloader"]["dataset"].update(frames=frames, crop_px=(height, width))
    model = {**cfg["model"], **changes, "weights": None}
    model["backbone"] = {**cfg["model"]["backbone"], **changes.get("backbone", {})}
    with weightless():
        built = MODELS.build(model)
    need = step_memory(built, cfg, processes)
    assert need is not None
    return need


def as_row(job: tuple, need: StepMemory) -> dict:
    trained, frames, height, width, processes, _ = job
    parts = {name: getattr(need, name) for name in ("weights", "gradients", "optimiser", "average", "gathered")}
    step = max(need.stages.values())
    return {
        **{"trained": trained, "frames": frames, "height": height, "width": width, "processes": processes},
        **{**parts, "step": step, "total": need.total},
    }


def as_markdown(rows: list[dict]) -> str:
    names = ("weights", "gradients", "optimiser", "average", "gathered", "step", "total")
    head = ["trained", "clip", "processes", *names]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        clip = f"{row['frames']} x {row['width']} x {row['height']}"
        sizes = " | ".join(f"{row[name] / GIB:.1f}" for name in names)
        lines.append(f"| {row['trained']} | {clip} | {row['processes']} | {sizes} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
