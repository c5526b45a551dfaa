"""VEnhancer sharded over two processes on gloo, started by torchrun, beside one process."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.parts import assert_same_run, read_log
from tests.engine.venhancer import tiny_training
from tests.engine.venhancer_two_processes import ALL, EXACT, LORA
from tests.paths import ROOT
from vrestore.engine.train import train

pytest.importorskip("torchsde")


def launch(folder, which: str) -> list[dict]:
    """Run a part of venhancer_two_processes.py; what each process saw."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*start, "-m", "tests.engine.venhancer_two_processes", str(folder), which]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads((folder / f"{which}_{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    return folder, launch(folder, "cut")


def assert_same_losses_and_weights(one_process, two_processes, tolerance: float) -> None:
    alone, sharded = read_log(one_process), read_log(two_processes)
    assert len(alone) == len(sharded) == 6
    for one, two in zip(alone, sharded, strict=True):
        assert (one.pop("mode"), set(one)) == (two.pop("mode"), set(two))
        assert two["loss"] == pytest.approx(one["loss"], rel=tolerance)
        assert two == pytest.approx(one, rel=max(tolerance * 50, 1e-3))
    one, two = (load_file(at / "weights.safetensors") for at in (one_process, two_processes))
    assert set(one) == set(two)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, atol=5e-4, rtol=1e-3)


def test_sharded_losses_and_weights_are_those_of_one_process(two_processes, tmp_path):
    folder, _ = two_processes
    train(tiny_training(**{**ALL, "train_dataloader.batch_size": 2}), work_dir=tmp_path)
    assert_same_losses_and_weights(tmp_path, folder / "all", 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("which", "changes", "tolerance"), [("controlnet", EXACT, 2e-5), ("lora", LORA, 2e-3)])
def test_so_are_those_of_a_part_that_trains(tmp_path, which, changes, tolerance):
    launch(tmp_path, which)
    train(tiny_training(**{**changes, "train_dataloader.batch_size": 2}), work_dir=tmp_path / "one")
    assert_same_losses_and_weights(tmp_path / "one", tmp_path / which, tolerance)


def test_each_process_holds_half(two_processes):
    _, seen = two_processes
    for process in seen:
        assert process["whole"] == 0
        assert process["share"] == pytest.approx(0.5, abs=0.05)
        assert process["optimiser_share"] == pytest.approx(0.5, abs=0.05)


def test_a_sharded_run_resumes_exactly(two_processes):
    folder, seen = two_processes
    assert "after iteration 4 of 6" in seen[0]["stopped"]
    assert_same_run(folder / "all", folder / "cut", last="iter_6.pth")


def test_one_process_goes_on_from_its_checkpoint(two_processes, tmp_path):
    folder, _ = two_processes
    config = tiny_training(**{**ALL, "train_dataloader.batch_size": 2})
    train(config, work_dir=tmp_path, resume=folder / "iter_4.pth")
    for one, two in zip(read_log(tmp_path), read_log(folder / "all")[4:], strict=True):
        assert one["iter"] == two["iter"]
        assert one["loss"] == pytest.approx(two["loss"], rel=2e-5)
