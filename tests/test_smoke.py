"""The smoke benchmark of the baselines, with the small ones of each kind; all of them where slow tests run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vrestore.config import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "configs/benchmarks/baselines_smoke.py"
SMALL = ["bicubic", "realesr-animevideov3", "rife-4.22-lite", "basicvsr-reds4"]


def run(folder, *options):
    command = [sys.executable, "tools/test.py", CONFIG, "--work-dir", str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done, json.loads((folder / "results.json").read_text(encoding="utf-8"))


def test_in_small(tmp_path):
    done, results = run(tmp_path, "--methods", ",".join(SMALL))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not results["failures"]
    tables = {table["benchmark"]: [row["method"] for row in table["rows"]] for table in results["tables"]}
    assert tables["x4"] == ["bicubic", "basicvsr-reds4", "realesr-animevideov3"]
    assert tables["time x2"] == ["bicubic", "rife-4.22-lite"]
    assert "scores mean nothing: basicvsr-reds4, realesr-animevideov3" in (tmp_path / "results.md").read_text()
    assert all(row["weights"].startswith("reference:") for row in results["tables"][0]["rows"][1:])


def test_every_kind_of_baseline_takes_part():
    """One entry at least of every method of the zoo that has weights, but for two.

    VEnhancer is no baseline, and the network of SPAN is built by spandrel from its weights alone.
    """
    from vrestore.checkpoints.index import zoo

    names = {method["name"] for method in load_config(ROOT / CONFIG).methods}
    methods = {entry.method for entry in zoo().values() if entry.weights and not entry.network}
    taken = {zoo()[name].method for name in names if name in zoo()}
    assert methods - taken == {"VEnhancer", "SPAN"}


@pytest.mark.slow
def test_all(tmp_path):
    done, results = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not results["failures"]
