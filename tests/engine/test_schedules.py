"""The pieces in configs/_base_, and schedules of shortened and prolonged runs."""

import pytest
from mmengine.config import Config

from tests.engine.parts import read_log, tiny_config
from tests.paths import ROOT
from vrestore.engine.checks import check_training_config
from vrestore.engine.train import prepare_config, train

BASES = ROOT / "configs" / "_base_"


@pytest.mark.parametrize("schedule", sorted(path.name for path in BASES.glob("schedule_*.py")))
def test_bases_make_a_sound_config(schedule, tmp_path):
    tiny = tiny_config()
    parts = {key: tiny[key] for key in ("model", "train_dataloader", "val_dataloader", "val_evaluator")}
    path = tmp_path / "config.py"
    bases = [str(BASES / "default_runtime.py"), str(BASES / schedule)]
    path.write_text(f"_base_ = {bases!r}\n" + "\n".join(f"{key} = {value!r}" for key, value in parts.items()))
    config = Config.fromfile(path)
    check_training_config(prepare_config(config))
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.default_hooks.logger.interval = 1
    train(config, work_dir=tmp_path / "run")
    rows = read_log(tmp_path / "run")
    assert [row["mode"] for row in rows] == ["train", "train", "val"]
    base = Config.fromfile(BASES / schedule)
    warm = base.param_scheduler[0].get("start_factor", 1.0)
    assert rows[0]["lr"] == pytest.approx(base.optim_wrapper.optimizer.lr * warm)
    assert list((tmp_path / "run").glob("best_TinyError_*.pth"))


def test_a_schedule_that_never_begins_is_left_out(tmp_path):
    train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=tmp_path)
    rates = [row["lr"] for row in read_log(tmp_path) if row["mode"] == "train"]
    assert rates == pytest.approx([1e-3, 4e-3, 7e-3, 1e-2])


def rates(work_dir):
    return [row["lr"] for row in read_log(work_dir) if row["mode"] == "train"]


@pytest.mark.parametrize("paramwise", [False, True])
def test_a_prolonged_run_follows_the_schedule_of_its_config(tmp_path, paramwise):
    changes = {"optim_wrapper.paramwise_cfg": {"custom_keys": {"flow": {"lr_mult": 0.5}}}} if paramwise else {}
    cosine = [{"type": "LinearLR", "begin": 0, "end": 2}, {"type": "CosineAnnealingLR", "eta_min": 0.0, "begin": 2}]
    longer = tiny_config(param_scheduler=cosine, **{"train_cfg.max_iters": 8}, **changes)
    train(longer, work_dir=tmp_path / "whole")
    short = tiny_config(param_scheduler=cosine, **{"train_cfg.max_iters": 4}, **changes)
    train(short, work_dir=tmp_path / "two")
    assert rates(tmp_path / "two")[3] < rates(tmp_path / "whole")[3]
    train(longer, work_dir=tmp_path / "two", resume=True)
    assert rates(tmp_path / "two")[4:] == rates(tmp_path / "whole")[4:]


@pytest.mark.parametrize("schedule", [[], [{"type": "ConstantLR", "factor": 0.5, "end": 99}]])
def test_a_changed_rate_or_schedule_is_followed(tmp_path, schedule):
    train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=tmp_path)
    changes = {"param_scheduler": schedule, "optim_wrapper.optimizer.lr": 0.5, "train_cfg.max_iters": 6}
    train(tiny_config(**changes), work_dir=tmp_path, resume=True)
    assert rates(tmp_path)[4:] == [0.25 if schedule else 0.5] * 2
