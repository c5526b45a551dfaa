"""test(): benchmark configs and training configs, exit status, messages."""

import io

import pytest
import torch
from mmengine.config import Config
from rich.console import Console

from tests.evaluation.parts import FailingX4, NoisyX4
from tests.evaluation.test_benchmark import a_config
from vrestore.errors import ConfigError
from vrestore.evaluation.test import test as run_test


def quiet() -> Console:
    return Console(width=120, record=True, file=io.StringIO())


def training_config(**changes) -> Config:
    return Config(
        {
            "model": {"type": "NoisyX4", "sigma": 0.0},
            "train_dataloader": {},
            "val_dataloader": {"batch_size": 1, "dataset": {"type": "TinyBenchmark"}},
            "val_evaluator": {"type": "PSNR", "convert_to": "Y"},
            **changes,
        }
    )


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / "best.pth"
    torch.save({"meta": {}, "state_dict": NoisyX4(gain=0.9).state_dict()}, file)
    return file


def test_a_benchmark_config_gives_a_report_and_status_0(tmp_path):
    console = quiet()
    assert run_test(Config(a_config(["bicubic"])), work_dir=tmp_path, console=console) == 0
    assert {path.name for path in tmp_path.glob("results.*")} == {"results.json", "results.csv", "results.md"}
    assert "bicubic" in console.export_text()


def test_a_failed_method_gives_status_1_and_the_report(tmp_path):
    console = quiet()
    config = a_config([{"name": "broken", "model": FailingX4()}, "bicubic"])
    assert run_test(config, work_dir=tmp_path, console=console) == 1
    text = console.export_text()
    assert "broken failed on clip0, clip1: RuntimeError: out of luck" in text
    assert (tmp_path / "results.md").is_file()
    assert run_test(config, work_dir=tmp_path, console=quiet(), methods=["bicubic"]) == 0


def test_a_trained_model_goes_the_same_way(tmp_path, checkpoint):
    console = quiet()
    assert run_test(training_config(), checkpoint, work_dir=tmp_path, console=console) == 0
    text = console.export_text()
    assert "best" in text
    assert "tiny, BIx4: 2 clips, 6 degraded frames" in text
    assert list((tmp_path / "comparison").glob("*.png"))


def test_test_entries_come_before_those_of_validation(tmp_path, checkpoint):
    config = training_config(
        test_dataloader={"dataset": {"type": "TinyBenchmark", "clips": 1}},
        test_evaluator=[{"type": "PSNR"}, {"type": "SSIM"}],
    )
    console = quiet()
    assert run_test(config, checkpoint, work_dir=tmp_path, console=console) == 0
    text = console.export_text()
    assert "1 clip, 3 degraded frames" in text
    assert "SSIM-Y" in text


def test_the_work_dir_follows_the_config(tmp_path, monkeypatch, checkpoint):
    monkeypatch.chdir(tmp_path)
    config = training_config(work_dir="runs/a")
    run_test(config, checkpoint, console=quiet())
    assert (tmp_path / "runs" / "a" / "results.json").is_file()
    (tmp_path / "mine.py").write_text("methods = ['bicubic']\n")
    named = Config.fromfile(tmp_path / "mine.py")
    named.merge_from_dict({"benchmarks": a_config(["bicubic"])["benchmarks"]})
    run_test(named, console=quiet())
    assert (tmp_path / "work_dirs" / "mine" / "results.json").is_file()


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (training_config(), None, "needs a checkpoint"),
        (training_config(val_evaluator=None), "x.pth", "val_dataloader with val_evaluator"),
        (training_config(val_dataloader=None), "x.pth", "test_dataloader with test_evaluator"),
        (Config({"output": {}}), None, "needs methods="),
        (Config(a_config(["bicubic"])), "x.pth", "names its weights itself"),
    ],
)
def test_what_cannot_be_tested_is_explained(tmp_path, config, given, message):
    with pytest.raises(ConfigError, match=message):
        run_test(config, given, work_dir=tmp_path, console=quiet())


def test_a_missing_checkpoint_is_a_failed_method(tmp_path):
    console = quiet()
    assert run_test(training_config(), tmp_path / "gone.pth", work_dir=tmp_path, console=console) == 1
    assert "gone.pth" in console.export_text().replace("\n", "")
