"""Damaged clips and failing data workers: skipped, counted and named, or ended with a sentence."""

import os
import re
import shutil
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.media import write_video
from tests.engine.parts import PowerCut, assert_same_run, clip_dataset, read_log, tiny_config, with_hook
from tests.paths import ROOT
from vrestore.cli import main
from vrestore.data import ClipDataset
from vrestore.engine.damage import damage_of, everywhere
from vrestore.engine.hooks.damage import summary
from vrestore.engine.train import train
from vrestore.errors import DataError, TrainingError


@pytest.fixture
def clips(tmp_path):
    """Three clips, of which one holds an image that is cut off, and some files that are no clips."""
    root = tmp_path / "clips"
    clip_dataset(root, clips=3, frames=3)
    image = root / "noise_1" / "0002.png"
    image.write_bytes(image.read_bytes()[:700])
    (root / "empty.mp4").touch()
    (root / "text.mkv").write_text("no video")
    whole = write_video(root / "cut.mkv", np.zeros((3, 24, 24, 3), np.uint8)).read_bytes()
    (root / "cut.mkv").write_bytes(whole[: len(whole) // 4])  # its header alone: no frame
    return root


def config_of(clips, workers=0):
    dataset = {**clip_dataset(clips), "seed": 5}
    return tiny_config(train_dataloader={"batch_size": 2, "num_workers": workers, "dataset": dataset})


def log_of(work_dir: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(work_dir.glob("2*/*.log")))


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_clips_are_counted_and_named_in_the_log(tmp_path, clips, workers, recwarn):
    warnings.simplefilter("always")
    train(config_of(clips, workers), work_dir=tmp_path / "run")
    text = log_of(tmp_path / "run")
    drawn = [ClipDataset(**{k: v for k, v in config_of(clips)["train_dataloader"]["dataset"].items() if k != "type"})]
    damaged = [s["record"]["source"].get("damaged", []) for s in (drawn[0][i] for i in range(24))]
    count = sum(map(len, damaged))
    assert count >= 2
    assert {name for windows in damaged for name, _ in windows} == {"noise_1"}
    assert text.count("noise_1 is damaged and its windows are drawn anew from other clips: ") == 1
    assert f"so far, {count} windows of 1 damaged clip were drawn anew: noise_1 ({count})" in text
    assert f"in all, {count} windows of 1 damaged clip were drawn anew: noise_1 ({count})" in text.splitlines()[-2]
    assert "3 clips cannot be read and are left out: cut.mkv (" in text
    assert "empty.mp4 (" in text
    assert "text.mkv (" in text
    assert read_log(tmp_path / "run")[-2]["damaged_windows"] == count
    opened = [w for w in recwarn if "3 of 6 clips" in str(w.message)]
    assert len(opened) == 2  # by the training and by the dataset of this test
    assert len([w for w in recwarn if "drawn anew" in str(w.message)]) == 1  # by that dataset alone


def test_a_resumed_run_counts_on(tmp_path, clips):
    config = config_of(clips, workers=1)
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=9), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    last = [re.findall(r"\d+ windows? of 1 damaged clip .*", log_of(tmp_path / d))[-1] for d in ("whole", "cut")]
    assert last[0] == last[1]


def test_nothing_but_damage_is_an_error(tmp_path, clips):
    for name in ("noise_0", "noise_2"):
        (clips / name / "0000.png").write_text("no image")
    only = config_of(clips)
    only["train_dataloader"]["dataset"]["frames"] = 3  # so that every window of the last clip holds the damage
    with pytest.raises(TrainingError, match=r"10 drawn windows in a row could not be decoded; damaged: noise_1; no ch"):
        train(only, work_dir=tmp_path / "run")
    shutil.rmtree(clips / "noise_1")
    with pytest.raises(
        DataError, match=r"5 of 5 clips under .* cannot be read: cut\.mkv, empty\.mp4, noise_0, noise_2, t"
    ):
        train(only, work_dir=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_summary_counts_and_names():
    assert summary({"a": 1}) == "1 window of 1 damaged clip was drawn anew: a (1)"
    assert summary({"a": 1, "c": 7, "b": 7}) == "15 windows of 3 damaged clips were drawn anew: b (7), c (7), a (1)"


def test_samples_of_any_dataset_may_tell_of_damage():
    source = {"damaged": [["a", "torn"], ["b", "gone"]]}
    batch = {
        "record": [{"source": source}, {"source": {}}, {"draw": 3}, None, {"source": {"damaged": [["a", "torn"]]}}]
    }
    assert damage_of(batch) == [("a", "torn"), ("b", "gone"), ("a", "torn")]
    assert damage_of({}) == []
    assert everywhere([("a", "torn")]) == [("a", "torn")]


# --- workers

PLUGIN = """
import os, signal, time
from vrestore.degradations import BicubicDown
from vrestore.registry import DEGRADATIONS

@DEGRADATIONS.register_module()
class Troublesome(BicubicDown):
    def __init__(self, how, scale=2):
        super().__init__(scale)
        self.how, self.calls = how, 0

    def __call__(self, frames, rng):
        self.calls += 1
        if self.calls == 9:
            if self.how == "hangs":
                time.sleep(10_000)
            if self.how == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("out of luck")
        return super().__call__(frames, rng)
"""


def command(arguments: list[str]) -> tuple[int, str]:
    """In a process of its own until its very end; workers that outlive it hold the pipes that are waited for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    whole = [sys.executable, "tools/train.py", *arguments]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=200, env=environment, check=False)
    return done.returncode, done.stderr


def forked(arguments: list[str], folder: Path) -> tuple[int, str]:
    """The same without starting Python anew."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open(folder / "errors", "w") as errors:
                os.dup2(errors.fileno(), 2)
                sys.stderr = errors
                torch.set_num_threads(1)
                status = main(["train", *arguments])
        except BaseException:
            (folder / "errors").write_text(traceback.format_exc())
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, (folder / "errors").read_text()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("dies", r"DataLoader worker \(.*\) .*, at work on the clips noise_\d(, noise_\d)*"),
        (
            "hangs",
            r"no batch came within 3 seconds \(train_dataloader\.timeout=3\), at work on the clips noise_\d.*",
        ),
        ("raises", r"clip noise_\d, draw \d+: its degradation failed: RuntimeError out of luck"),
    ],
)
def test_a_failing_worker_ends_the_command(tmp_path, how, reason):
    (tmp_path / "trouble.py").write_text(PLUGIN)
    dataset = {**clip_dataset(tmp_path / "clips"), "degradation": {"type": "Troublesome", "how": how}}
    loader = {"batch_size": 2, "num_workers": 2, "timeout": 3, "prefetch_factor": 1, "dataset": dataset}
    config = tiny_config(
        train_dataloader=loader, val_dataloader=None, val_evaluator=None, custom_hooks=[],
        **{"train_cfg": {"max_iters": 12}, "default_hooks.checkpoint": {"interval": 1}},
    )  # fmt: skip
    lines = [
        'custom_imports = dict(imports=["trouble.py", "tests.engine.parts"])',
        *(f"{k} = {v!r}" for k, v in config.items()),
    ]
    (tmp_path / "config.py").write_text("\n".join(lines))
    arguments = [str(tmp_path / "config.py"), "--work-dir", str(tmp_path / "run")]
    started = time.monotonic()
    status, errors = command(arguments) if how == "hangs" else forked(arguments, tmp_path)
    assert time.monotonic() - started < 90
    assert status == 2, (status, errors[-3000:])
    assert "Traceback" not in errors
    told = rf"vrestore: the training data failed at iteration \d+ \(draws from \d+\): {reason}; the last checkpoint is "
    assert re.search(told, errors), errors[-3000:]
    last = (tmp_path / "run" / "last_checkpoint").read_text().strip()
    assert (tmp_path / "run" / last).is_file()


def test_a_damaged_clip_of_the_validation_is_named(tmp_path):
    changes = {"val_dataloader": {"dataset": {"type": "TinyClips", "length": 3, "failing_draws": [1]}}}
    with pytest.raises(TrainingError) as stopped:
        train(tiny_config(**changes), work_dir=tmp_path)
    assert str(stopped.value) == (
        f"a clip of the validation cannot be read at iteration 4: clip_1.mp4 cannot be decoded; "
        f"the last checkpoint is {tmp_path / 'iter_4.pth'}"
    )
