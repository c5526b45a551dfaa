"""Tables in the documents are those that their data gives."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_table_is_out_of_date():
    done = run("tools/render_docs.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_table_is_told(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- zoo: model_zoo/index.yml -->\nold\n<!-- /zoo -->\n", encoding="utf-8")
    done = run("tools/render_docs.py", "--check", str(page))
    assert done.returncode == 1
    assert f"out of date: {page}" in done.stdout
    assert run("tools/render_docs.py", str(page)).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "001_RVRT_videosr_bi_REDS_30frames.pth" in text
    assert "**CC BY-NC 4.0 (non-commercial)**" in text


@pytest.mark.parametrize("name", ["basicvsr-small-x4", "realesr-animevideov3"])
def test_the_cost_of_a_baseline_is_measured_in_a_process_of_its_own(tmp_path, name):
    out = tmp_path / "cost.json"
    options = ["--frames", "2", "--size", "16", "24", "--repeats", "1", "--threads", "1"]
    done = run("tools/benchmarks/baselines.py", name, "--out", str(out), *options)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert row["name"] == name
    assert row["output"] == [2, 64, 96]
    assert row["macs_per_frame"] > 0.9 * 16 * 24 * row["parameters"] / 3  # most weights meet every given pixel
    assert row["seconds_per_frame"] > 0
    assert row["peak_rss_bytes"] > 50 << 20
