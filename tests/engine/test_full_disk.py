"""Full disks, real ones: a clear error, an intact last checkpoint, and a run that goes on when there is room."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.engine.full_disk import CASES
from tests.paths import ROOT

MOUNTING = ["unshare", "--map-root-user", "--mount"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What happened on file systems of a few MiB, made in a name space of their own."""
    allowed = shutil.which("unshare") and not subprocess.run([*MOUNTING, "true"], check=False).returncode
    if not allowed:
        pytest.skip("this machine lets nobody mount a file system of their own")
    folder = tmp_path_factory.mktemp("disks")
    command = [*MOUNTING, sys.executable, "-m", "tests.engine.full_disk", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, env=environment, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    assert line is not None, done.stderr[-3000:]
    return json.loads(line.removeprefix("RESULT "))


FILES = {
    "checkpoint": ("iter_8.pth", "iter_4.pth"),
    "best": ("best_TinyError_iter_8.pth", "iter_8.pth"),
    "sample image": ("samples/iter_000008/clip_0.png", "iter_8.pth"),
    "log": ("log.jsonl", "iter_4.pth"),
    "weights": ("weights.safetensors", "iter_12.pth"),
    "curves": ("iter_8.pth", "iter_4.pth"),
    "beginning": ("run", None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(results, name):
    result, (file, last) = results[name], FILES[name]
    assert result["kind"] == "TrainingError", result
    assert f"/run/{file}: No space left on device".replace("/run/run", "/run") in result["told"]
    assert "are free there; make room, or let it be written elsewhere" in result["told"]
    assert "Traceback" not in result["stderr"]
    assert result["last"] == last
    assert (f"the last checkpoint is {last}" if last else "no checkpoint was written yet") in result["told"].replace(
        result["told"].partition("the last checkpoint is ")[2].rpartition("/")[0] + "/", ""
    )
    assert result["leftovers"] == []
    assert result["resumed"] is None
    if file.endswith((".pth", ".safetensors")):
        assert "it takes " in result["told"]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_full_cache_of_clips_says_what_helps(results, workers):
    result = results["cache"][workers]
    assert result["kind"] == "TrainingError"
    assert "the cache of decoded clips cannot be written" in result["told"]
    assert "No space left on device" in result["told"]
    assert "it takes 162.0 KiB, and " in result["told"]
    assert "cache_dir names another folder" in result["told"]


def test_an_index_that_has_no_room_ends_the_run_before_it_begins(results):
    assert "the index of clips cannot be written" in results["cache"]["index"]["told"]
    assert not results["cache"]["work_dir_made"]


@pytest.mark.parametrize("name", ["video", "images"])
def test_freezing_goes_on_when_there_is_room(results, name):
    result = results["other"][name]
    assert result["kind"] == "DataError"
    assert "No space left on device" in result["told"]
    assert "are free there; make room" in result["told"]
    assert result["then"] is None


def test_weights_and_prompts_are_whole_or_not_at_all(results):
    other = results["other"]
    assert "weights.safetensors: No space left on device; nothing was left" in other["export"]["told"]
    assert other["export"]["kept"]
    assert "the cache of prompts cannot be written: " in other["prompts"]["told"]
    assert other["files"] == ["filler", "frozen_mkv", "frozen_png", "prompts", "weights.safetensors"]
