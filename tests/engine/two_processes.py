"""What test_distributed.py runs under torchrun: several runs one after another, and what each process saw of them."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed

from tests.engine.adversarial import adversarial_config
from tests.engine.parts import clip_dataset, tiny_config, with_hook
from vrestore.engine.processes import join_processes, leave_processes
from vrestore.engine.stop import TrainingStopped
from vrestore.engine.train import train
from vrestore.errors import TrainingError


def main(folder: Path) -> None:
    join_processes()
    rank = torch.distributed.get_rank()
    seen = {"world_size": torch.distributed.get_world_size(), "rank": rank}

    # Draw for draw what one process does with twice the batch size.
    config = tiny_config(**{"model.backbone.dropout": 0.0, "train_cfg.max_iters": 8})
    model = train(config, work_dir=folder / "shared", launcher="pytorch").model.module
    seen["parameters"] = [p.double().sum().item() for p in model.parameters()]

    # The same with a discriminator and its own optimiser.
    adversarial = adversarial_config(**{"model.backbone.dropout": 0.0, "train_cfg.max_iters": 8})
    model = train(adversarial, work_dir=folder / "adversarial", launcher="pytorch").model
    seen["adversarial"] = [t.double().sum().item() for t in model.state_dict().values()]

    accumulating = accumulating_config(folder)
    train(accumulating, work_dir=folder / "whole", launcher="pytorch")
    try:
        ending = with_hook(accumulating, type="EndAt", at=7, how="SIGTERM", rank=1)
        train(ending, work_dir=folder / "cut", launcher="pytorch")
    except TrainingStopped as stopped:
        seen["stopped"] = [stopped.code, stopped.message]
    train(accumulating, work_dir=folder / "cut", launcher="pytorch", resume=True)

    # Draw 11 is the second of the second process's batch in iteration 3.
    broken = tiny_config(**{"train_dataloader.dataset.bad_draws": [11], "default_hooks.checkpoint.interval": 2})
    try:
        train(broken, work_dir=folder / "broken", launcher="pytorch")
    except TrainingError as error:
        seen["broken"] = str(error)
    (folder / f"rank_{rank}.json").write_text(json.dumps(seen))
    leave_processes()


def accumulating_config(folder: Path) -> dict:
    return tiny_config(
        **{
            "train_dataloader": {"batch_size": 1, "num_workers": 0, "dataset": clip_dataset(folder / "clips")},
            "optim_wrapper.accumulative_counts": 2,
            "optim_wrapper.precision": "bf16",
            "default_hooks.checkpoint.interval": 6,
        }
    )


def one_is_killed(folder: Path, rank: int, at: int) -> None:
    """The run of `folder / "whole"`, in which SIGKILL takes one process after iteration `at`."""
    join_processes()
    ending = with_hook(accumulating_config(folder), type="EndAt", at=at, how="SIGKILL", rank=rank)
    train(ending, work_dir=folder / f"killed_{rank}", launcher="pytorch")


def the_rest(folder: Path) -> None:
    """What the killed processes left to do."""
    join_processes()
    for rank in (0, 1):
        work_dir = folder / f"killed_{rank}"
        train(accumulating_config(folder), work_dir=work_dir, launcher="pytorch", resume=True)
    leave_processes()


if __name__ == "__main__":
    where, *task = sys.argv[1:]
    if task == ["rest"]:
        the_rest(Path(where))
    elif task:
        one_is_killed(Path(where), *map(int, task))
    else:
        main(Path(where))
