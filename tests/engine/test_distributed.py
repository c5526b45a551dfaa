"""Training in two processes over gloo, started by torchrun."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.engine.adversarial import adversarial_config
from tests.engine.parts import assert_same_run, clip_dataset, read_log, tiny_config
from tests.paths import ROOT
from vrestore.data import ClipDataset
from vrestore.engine.processes import join_processes
from vrestore.engine.train import train
from vrestore.errors import ConfigError


def launch(folder, *task):
    """Run two_processes.py in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "tests.engine.two_processes", str(folder), *map(str, task)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """The folder of the runs, and what each process saw."""
    folder = tmp_path_factory.mktemp("two")
    clip_dataset(folder / "clips", clips=3, frames=3)
    image = folder / "clips" / "noise_1" / "0002.png"
    image.write_bytes(image.read_bytes()[:700])  # windows of that clip are drawn anew, in either process
    done = launch(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_do_what_one_does_with_twice_the_batch(two_processes, tmp_path):
    folder, seen = two_processes
    assert [s["world_size"] for s in seen] == [2, 2]
    assert seen[0]["parameters"] == seen[1]["parameters"]
    changes = {"model.backbone.dropout": 0.0, "train_cfg.max_iters": 8, "train_dataloader.batch_size": 4}
    train(tiny_config(**changes), work_dir=tmp_path)
    alone, shared = read_log(tmp_path), read_log(folder / "shared")
    assert len(alone) == len(shared) == 8 + 2
    for one, two in zip(alone, shared, strict=True):
        assert (one.pop("mode"), set(one)) == (two.pop("mode"), set(two))
        assert one == pytest.approx(two, rel=1e-4)


def test_two_processes_train_against_a_discriminator_as_one_does(two_processes, tmp_path):
    folder, seen = two_processes
    assert seen[0]["adversarial"] == seen[1]["adversarial"]
    changes = {"model.backbone.dropout": 0.0, "train_cfg.max_iters": 8, "train_dataloader.batch_size": 4}
    train(adversarial_config(**changes), work_dir=tmp_path)
    alone, shared = read_log(tmp_path), read_log(folder / "adversarial")
    assert len(alone) == len(shared) == 8 + 2
    for one, two in zip(alone, shared, strict=True):
        assert (one.pop("mode"), set(one)) == (two.pop("mode"), set(two))
        assert one == pytest.approx(two, rel=1e-3, abs=1e-6)


def test_every_clip_is_scored_once(two_processes):
    folder, _ = two_processes
    scores = [row for row in read_log(folder / "shared") if row["mode"] == "val"]
    assert [(row["count"], row["distinct"]) for row in scores] == [(3, 3), (3, 3)]
    samples = sorted(path.name for path in (folder / "shared" / "samples" / "iter_000008").iterdir())
    assert samples == ["clip_0.png", "clip_1.png"]


def test_resume_is_exact_after_a_signal_to_one_process(two_processes):
    folder, seen = two_processes
    assert [s["stopped"][0] for s in seen] == [143, 143]
    assert seen[0]["stopped"] == seen[1]["stopped"]
    assert "after iteration 8 of 12" in seen[0]["stopped"][1]
    assert_same_run(folder / "whole", folder / "cut")


def test_resume_is_exact_after_one_process_was_killed(two_processes):
    folder, _ = two_processes
    for rank, at in ((0, 5), (1, 9)):  # before the first checkpoint, and after it
        done = launch(folder, rank, at)
        assert done.returncode != 0
        assert "SIGKILL" in done.stderr
        last = folder / f"killed_{rank}" / "last_checkpoint"
        assert (last.read_text().strip() if last.exists() else None) == (None, "iter_6.pth")[rank]
    done = launch(folder, "rest")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for rank in (0, 1):
        assert_same_run(folder / "whole", folder / f"killed_{rank}")


def test_damaged_clips_are_counted_over_both_processes(two_processes):
    folder, _ = two_processes
    counts = torch.load(folder / "whole" / "iter_12.pth", weights_only=True)["message_hub"]["runtime_info"]
    windows = counts["damaged_clips"]["noise_1"]
    data = {**clip_dataset(folder / "clips")}
    data.pop("type")
    dataset = ClipDataset(**data)
    with pytest.warns(UserWarning, match="noise_1 is damaged"):
        drawn = [dataset[draw]["record"]["source"].get("damaged", []) for draw in range(24)]
    assert sum(map(len, drawn)) == windows > 0
    assert sum(map(len, drawn[0::2])) > 0  # by the first process
    assert sum(map(len, drawn[1::2])) > 0
    (log,) = (folder / "whole").glob("2*/*.log")
    assert f"in all, {windows} windows of 1 damaged clip were drawn anew: noise_1 ({windows})" in log.read_text()


def test_a_bad_loss_in_one_process_ends_both_and_names_its_clips(two_processes):
    folder, seen = two_processes
    assert seen[0]["broken"] == seen[1]["broken"]
    assert "the loss is NaN or infinite at iteration 3, in the batch of the clips clip_11, clip_9" in seen[0]["broken"]
    assert (folder / "broken" / "last_checkpoint").read_text().strip() == "iter_2.pth"
    state = torch.load(folder / "broken" / "iter_2.pth", weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_launcher_without_torchrun_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="needs torchrun"):
        train(tiny_config(), work_dir=tmp_path / "run", launcher="pytorch")
    assert not (tmp_path / "run").exists()


def test_nccl_without_cuda_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs CUDA devices"):
        join_processes("nccl")
