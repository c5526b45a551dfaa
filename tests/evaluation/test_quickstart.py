"""The quickstart benchmark, and the evaluator against a published output."""

import io
import json

import pytest
from rich.console import Console

from tests.evaluation.parts import moving_clip
from tests.paths import ROOT, SHARED_DATA, needs_shared_data
from vrestore.checkpoints.index import zoo
from vrestore.config import load_config
from vrestore.evaluation import PSNR, SSIM
from vrestore.evaluation.alignment import measure_alignment
from vrestore.evaluation.files import write_frames
from vrestore.evaluation.plan import Plan
from vrestore.evaluation.test import test as run_test
from vrestore.video import read_clip

CONFIG = ROOT / "configs" / "benchmarks" / "quickstart.py"


@pytest.fixture
def own_clips(tmp_path, monkeypatch):
    """A user's folder of clips, named by the environment variable."""
    for seed in range(2):
        write_frames(tmp_path / "clips" / f"clip{seed}" / "gt", moving_clip(seed, frames=4, height=96, width=192))
    monkeypatch.setenv("VRESTORE_DATA", str(tmp_path / "clips"))
    return tmp_path / "clips"


def test_it_names_models_of_the_zoo():
    config = load_config(CONFIG)
    names = [method["model"] for method in config.methods]
    assert names == ["nearest", "bicubic", "lanczos", "basicvsr-small-x4"]
    assert set(names) <= set(zoo())


def test_it_runs_on_a_users_folder(own_clips, tmp_path):
    config = load_config(CONFIG, ["benchmarks.0.dataset.max_frames=3"])
    console = Console(width=160, file=io.StringIO())
    work_dir = tmp_path / "work"
    assert run_test(config, work_dir=work_dir, methods=["nearest", "bicubic", "lanczos"], console=console) == 0
    data = json.loads((work_dir / "results.json").read_text())
    assert {cell["clip"] for cell in data["cells"]} == {"clip0", "clip1"}
    assert {cell["frames"] for cell in data["cells"]} == {3}
    (table,) = data["tables"]
    assert [column["name"] for column in table["columns"]] == ["PSNR-Y", "SSIM-Y", "PSNR-RGB", "NIQE", "LPIPS-alex"]
    assert table["degradation"] == "BIx4"
    assert {column["protocol"]["frames"] for column in table["columns"]} == {"first 3 of each clip"}
    psnr = {row["method"]: row["values"][0]["mean"] for row in table["rows"]}
    assert psnr["nearest"] < psnr["bicubic"] < psnr["lanczos"]


def test_another_folder_by_an_option(own_clips):
    config = load_config(CONFIG, [f"benchmarks.0.dataset.root={own_clips}", "benchmarks.0.dataset.max_frames=2"])
    (benchmark,) = Plan.from_config(config).benchmarks
    assert len(benchmark.dataset) == 2
    assert benchmark.dataset[0]["lq"].shape == (2, 3, 24, 48)


def test_without_any_footage_it_takes_the_bundled_one(monkeypatch, tmp_path):
    pytest.importorskip("skimage")
    monkeypatch.delenv("VRESTORE_DATA", raising=False)
    # A copy of the config far from any folder of clips.
    copied = tmp_path / "a" / "configs" / "benchmarks" / "quickstart.py"
    copied.parent.mkdir(parents=True)
    copied.write_text(CONFIG.read_text())
    (benchmark,) = Plan.from_config(load_config(copied)).benchmarks
    assert type(benchmark.dataset).__name__ == "BundledClips"
    assert benchmark.degradation == "BIx4"


@needs_shared_data
def test_a_published_output_scores_what_was_published():
    """DUF-52L on Vid4 calendar, frames 3 and 4 of the clip, as its authors published them.

    The papers crop 8 pixels and give 24.04 dB / 0.8110 as the mean over the clip (Vid4 table of the EDVR paper,
    Wang et al. 2019); two frames out of it must come close. Without the crop it loses 0.8 dB at its borders: why a
    score without its protocol means nothing.
    """
    calendar = SHARED_DATA / "bench" / "vid4_calendar"
    pred, hq = read_clip(calendar / "sr_duf52_x4"), read_clip(calendar / "gt", 3, 2)
    cropped = PSNR(crop_border=8).score(pred, hq)
    assert sum(cropped) / 2 == pytest.approx(24.04, abs=0.3)
    assert sum(SSIM(crop_border=8).score(pred, hq)) / 2 == pytest.approx(0.8110, abs=0.01)
    whole = PSNR().score(pred, hq)
    assert all(0.7 < c - w < 0.9 for c, w in zip(cropped, whole, strict=True))
    assert measure_alignment(pred, hq).warning is None
