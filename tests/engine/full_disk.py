"""Run by test_full_disk.py in a process that may mount: trainings on file systems that really are full.

    unshare --map-root-user --mount python -m tests.engine.full_disk FOLDER

Prints one JSON object: for each case what the training said, and whether it could be gone on with.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.hooks import Hook

from tests.engine.parts import assert_same_run, clip_dataset, tiny_config, with_hook
from vrestore.adapters.text_cache import PromptCache
from vrestore.data.freeze import freeze
from vrestore.engine.export import export_weights
from vrestore.engine.train import train
from vrestore.errors import VRestoreError
from vrestore.registry import HOOKS

DISK_MIB = 4
CASES = {
    # what fills the disk at which moment: (hook's method, iteration), and changes of the config
    "checkpoint": (("before_train_iter", 6), {}),
    "best": (("before_val_epoch", 8), {"custom_hooks": [{"type": "EMAHook", "momentum": 0.1}]}),
    "sample image": (("before_val_epoch", 8), {}),
    "log": (("before_train_iter", 6), {"default_hooks.checkpoint.interval": 4}),
    "weights": (("after_train", 12), {}),
    "curves": (
        ("before_train_iter", 6),
        {
            "default_hooks.logger": None,
            "default_hooks.checkpoint.interval": 4,
            "visualizer": {"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]},
        },
    ),
    "beginning": ((None, 0), {}),
}


@HOOKS.register_module()
class FillDiskAt(Hook):
    """At a moment of the run, writes a file until nothing more goes onto its disk."""

    priority = "LOWEST"

    def __init__(self, file: str, moment: str, at: int, log_is_full: bool = False):
        self.file, self.moment, self.at, self.log_is_full = file, moment, at, log_is_full

    def _due(self, runner, moment: str) -> None:
        if moment == self.moment and runner.iter + (moment == "before_train_iter") == self.at:
            if self.log_is_full:
                log = Path(runner.work_dir) / "log.jsonl"  # a page of a tiny disk holds more lines than this run has
                log.unlink()
                log.symlink_to("/dev/full")
            else:
                fill(self.file)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self._due(runner, "before_train_iter")

    def before_val_epoch(self, runner):
        self._due(runner, "before_val_epoch")

    def after_train(self, runner):
        self._due(runner, "after_train")


def fill(file: str) -> None:
    with contextlib.suppress(OSError), open(file, "wb", buffering=0) as target:
        for size in (1 << 16, 1 << 12, 1 << 8, 1):
            with contextlib.suppress(OSError):
                while True:
                    target.write(b"\0" * size)


def mounted(folder: Path) -> Path:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], check=True)
    return folder


def attempt(config: dict, work_dir: Path, **how) -> dict:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            train(config, work_dir=work_dir, **how)
            told, kind = None, None
        except VRestoreError as error:
            told, kind = str(error), type(error).__name__
        except BaseException as error:  # what a user would see as a traceback
            told, kind = f"{error!r}", "defect"
    return {"told": told, "kind": kind, "stderr": errors.getvalue()}


def case(name: str, disk: Path, whole: Path) -> dict:
    (moment, at), changes = CASES[name]
    if name == "sample image":  # the picture itself, not the log before it
        changes = {**changes, "custom_hooks": [{"type": "SampleImageHook", "clips": 2}]}
    config = tiny_config(**changes)
    filler = disk / "filler"
    if moment is None:
        fill(str(filler))
    first = config if moment is None else with_hook(
        config, type="FillDiskAt", file=str(filler), moment=moment, at=at, log_is_full=name == "log"
    )  # fmt: skip
    if name == "sample image":
        first["custom_hooks"].insert(0, first["custom_hooks"].pop())
    result = attempt(first, disk / "run")
    last = disk / "run" / "last_checkpoint"
    result["last"] = last.read_text().strip() if last.exists() else None
    if result["last"]:
        torch.load(disk / "run" / result["last"], weights_only=True)
    result["leftovers"] = [p.name for p in disk.rglob(".*.tmp")]
    filler.unlink(missing_ok=True)
    if name == "log":
        (disk / "run" / "log.jsonl").unlink()
    shutil.rmtree(disk / "run" / "samples", ignore_errors=True)
    result["resumed"] = attempt(config, disk / "run", resume=True)["told"]
    if not changes:
        assert_same_run(whole, disk / "run")
    return result


def cache_case(disk: Path, clips: Path) -> dict:
    dataset = {**clip_dataset(clips, size=96, frames=6), "cache": "disk", "cache_dir": str(disk / "cache")}
    fill(str(disk / "filler"))
    results = {}
    for workers in (0, 1):
        loader = {"batch_size": 2, "num_workers": workers, "dataset": dataset}
        results[str(workers)] = attempt(tiny_config(train_dataloader=loader), clips.parent / f"cached_{workers}")
    results["leftovers"] = [p.name for p in (disk / "cache").glob(".*")] if (disk / "cache").exists() else []
    index = {**clip_dataset(clips), "index": str(disk / "clips.json")}
    loader = {"batch_size": 2, "num_workers": 0, "dataset": index}
    results["index"] = attempt(tiny_config(train_dataloader=loader), clips.parent / "indexed")
    results["work_dir_made"] = (clips.parent / "indexed").exists()
    return results


def other_cases(disk: Path, clips: Path) -> dict:
    """Frozen clips, exported weights, features of prompts."""
    results = {}
    filler = disk / "filler"
    for name, container in (("video", "mkv"), ("images", "png")):

        def frozen(container: str = container) -> None:
            freeze({"type": "BicubicDown"}, clips, disk / f"frozen_{container}", container=container, progress=False)

        fill(str(filler))
        results[name] = saying(frozen)
        filler.unlink()
        results[name]["then"] = saying(frozen)["told"]
    (checkpoint,) = (clips.parent / "whole").glob("iter_12.pth")
    exported = export_weights(checkpoint, disk / "weights.safetensors").read_bytes()
    fill(str(filler))
    results["export"] = saying(lambda: export_weights(checkpoint, disk / "weights.safetensors"))
    results["export"]["kept"] = (disk / "weights.safetensors").read_bytes() == exported
    results["prompts"] = saying(lambda: PromptCache(disk / "prompts").put("a reef", "x", torch.zeros(8, 8)))
    results["files"] = sorted(p.name for p in disk.iterdir())
    return results


def saying(action) -> dict:
    try:
        action()
    except VRestoreError as error:
        return {"told": str(error), "kind": type(error).__name__}
    except Exception as error:
        return {"told": repr(error), "kind": "defect"}
    return {"told": None, "kind": None}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    logging.raiseExceptions = True
    train(tiny_config(), work_dir=folder / "whole")
    results = {name: case(name, mounted(folder / name.replace(" ", "_")), folder / "whole") for name in CASES}
    results["cache"] = cache_case(mounted(folder / "cache"), folder / "clips")
    results["other"] = other_cases(mounted(folder / "other"), folder / "clips")
    print("RESULT " + json.dumps(results))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(Path(sys.argv[1]))
