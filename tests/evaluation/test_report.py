"""The report: tables, Markdown, CSV and JSON say the same, with the protocol of every score."""

import csv
import io
import json
import math

import pytest
from rich.console import Console

from tests.evaluation.parts import FailingX4
from tests.evaluation.test_benchmark import a_config
from vrestore.evaluation.benchmark import run_benchmark
from vrestore.evaluation.protocol import stamp
from vrestore.evaluation.report import print_report, write_report
from vrestore.evaluation.statistics import bootstrap_interval, mean_over_clips
from vrestore.evaluation.summary import summarise
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales


class Copy(BaseRestorer):
    """Gives back its input: identical to a ground truth that was not degraded."""

    capabilities = Capabilities(spatial_scales=Scales(fixed=(1.0,)))

    def restore_frames(self, frames_TCHW, request):
        return frames_TCHW


class Undegraded:
    """One clip whose ground truth is its input, but for the last frame."""

    name, degradation_name = "undegraded", "none"

    def __len__(self):
        return 1

    def __getitem__(self, index):
        from tests.evaluation.parts import moving_clip

        hq = moving_clip(0)
        lq = hq.clone()
        lq[-1] = 1 - lq[-1]
        return {"clip": "only", "lq": lq, "hq": hq, "record": {}, "fps": None}


METRICS = [{"type": "PSNR"}, {"type": "SSIM"}, {"type": "LPIPS", "backbone_weights": "nowhere.pth"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    methods = ["bicubic", "nearest", {"name": "broken", "model": FailingX4()}, {"name": "odd|name", "model": "lanczos"}]
    dataset = {"type": "TinyBenchmark", "clips": 3}
    result = run_benchmark(a_config(methods, metrics=METRICS, dataset=dataset), work_dir=folder)
    write_report(result, folder)
    return result, folder


def test_means_intervals_and_the_best(run):
    (table,) = summarise(run[0])
    assert [column.label for column in table.columns] == ["PSNR-Y", "SSIM-Y", "LPIPS-alex"]
    means = {}
    for row in table.rows:
        if row.cells:
            clips = [math.fsum(cell.scores[0].frames) / 3 for cell in row.cells]
            assert row.values[0].mean == pytest.approx(mean_over_clips(clips))
            assert row.values[0].interval == pytest.approx(bootstrap_interval(clips))
            means[row.method] = row.values[0].mean
    best = [row.method for row in table.rows if row.values[0].best]
    assert best == [max(means, key=means.get)]
    assert table.rows[0].seconds_per_frame == pytest.approx(sum(c.cost["seconds"] for c in table.rows[0].cells) / 9)


def test_csv_has_a_row_for_every_clip_and_score(run):
    result, folder = run
    rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))
    assert len(rows) == 3 * 3 * 3 + 3  # methods x clips x scores, and a row for every failed clip
    row = next(r for r in rows if (r["method"], r["clip"], r["metric"]) == ("nearest", "clip2", "PSNR-Y"))
    cell = next(c for c in result.cells if (c.method, c.clip) == ("nearest", "clip2"))
    assert float(row["value"]) == cell.scores[0].clip.mean
    assert row["protocol"] == stamp(cell.scores[0].protocol)
    assert row["degradation"] == "BIx4"
    assert row["input_hash"] == cell.input_hash
    assert [r["status"] for r in rows if r["method"] == "broken"] == ["failed: RuntimeError: out of luck"] * 3
    missing = [r for r in rows if r["metric"] == "LPIPS-alex"]
    assert all(r["value"] == "" and r["status"].startswith("not measured: ") for r in missing)


def test_json_holds_everything(run):
    result, folder = run
    data = json.loads((folder / "results.json").read_text())
    assert data["environment"]["packages"]["torch"]
    assert data["environment"]["cpu"]
    assert len(data["cells"]) == 9
    assert data["failures"][0] == {
        "method": "broken",
        "benchmark": "tiny",
        "clip": "clip0",
        "error": "RuntimeError: out of luck",
    }
    rows = {row["method"]: row for row in data["tables"][0]["rows"]}
    assert rows["broken"]["status"] == "failed"
    assert rows["bicubic"]["values"][0]["mean"] == summarise(result)[0].rows[0].values[0].mean
    assert rows["bicubic"]["values"][2]["mean"] is None
    assert data["config"]["methods"][0] == "bicubic"


def test_markdown_has_tables_protocols_and_notes(run):
    _, folder = run
    text = (folder / "results.md").read_text()
    assert "| method | PSNR-Y (dB) ↑ | SSIM-Y ↑ | LPIPS-alex ↓ | s/frame | RSS MiB | parameters |" in text
    assert "- PSNR-Y: PSNR v1; frames all; resize none; colour Y of BT.601" in text
    assert "| broken | failed | failed | failed |" in text
    assert "- broken failed on clip0, clip1, clip2: RuntimeError: out of luck" in text
    assert "- LPIPS-alex not measured: " in text
    assert "| clip2 | nearest |" in text
    assert "odd\\|name" in text
    table = [line for line in text.splitlines() if line.startswith("| ") and "bicubic" in line]
    assert all(line.replace("\\|", "").count("|") in (8, 8) for line in table)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_shows_every_method_and_score(run, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_report(run[0], console)
    text = console.export_text()
    (table,) = summarise(run[0])
    for row in table.rows:
        assert row.method in text
        if row.cells:
            assert f"{row.values[0].mean:.2f}" in text
            assert f"{row.values[1].mean:.4f}" in text
    assert ("[" in text.split("PSNR v1")[0]) == (width > 60)


def test_identical_frames_are_told_and_left_out(tmp_path):
    config = {
        "methods": [{"name": "copy", "model": Copy()}],
        "benchmarks": [{"dataset": Undegraded(), "metrics": [{"type": "PSNR"}]}],
        "output": {"comparison": False},
    }
    result = run_benchmark(config, work_dir=tmp_path)
    write_report(result, tmp_path)
    (value,) = summarise(result)[0].rows[0].values
    assert value.infinite == 3
    assert value.mean == result.cells[0].scores[0].frames[-1]
    assert "copy: 3 frame(s) identical to the ground truth" in (tmp_path / "results.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["cells"][0]["scores"][0]["frames"][0] == "inf"
