"""What test_sharding.py runs under torchrun: VEnhancer sharded, cut and resumed; and what each process saw of it."""

import json
import shutil
import sys
from pathlib import Path

import torch
import torch.distributed
from torch.distributed.tensor import DTensor

from tests.engine.parts import with_hook
from tests.engine.venhancer import tiny_training
from vrestore.engine.processes import join_processes, leave_processes
from vrestore.engine.stop import TrainingStopped
from vrestore.engine.train import train

STRATEGY = {"type": "FSDPStrategy"}
# Draws that differ from process to process are left out, so that two processes do what one does with twice the batch.
EXACT = {"model.backbone.dropout": 0.0, "train_dataloader.batch_size": 1}
ALL = {
    **EXACT,
    "model.training": {"trainable": "all"},
    "optim_wrapper.accumulative_counts": 2,
    "default_hooks.checkpoint.interval": 6,
}
LORA = {**EXACT, "model.training": {}, "model.lora": {"rank": 2}, "optim_wrapper.precision": "bf16"}


def main(folder: Path, which: str) -> None:
    join_processes()
    rank = torch.distributed.get_rank()
    if which == "cut":
        seen = cut_and_resume(folder)
    else:
        changes = {"controlnet": EXACT, "lora": LORA}[which]
        train({**tiny_training(**changes), "strategy": STRATEGY}, work_dir=folder / which, launcher="pytorch")
        seen = {}
    (folder / f"{which}_{rank}.json").write_text(json.dumps(seen))
    leave_processes()


def cut_and_resume(folder: Path) -> dict:
    """A whole run, and one that a signal to the second process ends; what a process holds of the model."""
    config = {**tiny_training(**ALL), "strategy": STRATEGY}
    runner = train(config, work_dir=folder / "all", launcher="pytorch")
    parameters = list(runner.model.backbone.parameters())
    sharded = [p for p in parameters if isinstance(p, DTensor)]
    held = [(p.numel(), e["exp_avg"].to_local().numel()) for p, e in runner.optim_wrapper.optimizer.state.items()]
    seen = {
        "whole": len(parameters) - len(sharded),
        "share": sum(p.to_local().numel() for p in sharded) / sum(p.numel() for p in sharded),
        "optimiser_share": sum(local for _, local in held) / sum(whole for whole, _ in held),
    }
    try:
        train(with_hook(config, type="EndAt", at=3, how="SIGTERM", rank=1), work_dir=folder / "cut", launcher="pytorch")
    except TrainingStopped as stopped:
        seen["stopped"] = stopped.message
    if torch.distributed.get_rank() == 0:
        shutil.copy(folder / "cut" / "iter_4.pth", folder / "iter_4.pth")
    train(config, work_dir=folder / "cut", launcher="pytorch", resume=True)
    return seen


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
