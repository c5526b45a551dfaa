"""An interrupted and resumed run is bitwise an uninterrupted one."""

import random

import numpy as np
import pytest
import torch

from tests.engine.parts import PowerCut, assert_same_run, clip_dataset, read_log, tiny_config, with_hook
from vrestore.engine.loops import seed_iteration
from vrestore.engine.stop import TrainingStopped
from vrestore.engine.train import train
from vrestore.errors import ConfigError, WeightsError

ACCUMULATING = {
    "optim_wrapper.accumulative_counts": 2,
    "optim_wrapper.precision": "bf16",
    "default_hooks.checkpoint.interval": 6,
    "default_hooks.logger.interval": 5,
}


@pytest.mark.parametrize(
    ("changes", "cut_at"),
    [
        ({}, 9),
        ({"train_dataloader.num_workers": 2}, 5),
        (ACCUMULATING, 9),
        ({"optim_wrapper.paramwise_cfg": {"custom_keys": {"flow": {"lr_mult": 0.125}}}, "channels_last": True}, 8),
    ],
    ids=["plain", "workers", "bf16-accumulation", "paramwise-channels_last"],
)
def test_cut_and_resumed_run_equals_an_uninterrupted_one(tmp_path, changes, cut_at):
    config = tiny_config(**changes)
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=cut_at), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_stops_at_a_step_with_a_checkpoint(tmp_path, name):
    config = tiny_config(**ACCUMULATING)
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(TrainingStopped) as stopped:
        train(with_hook(config, type="EndAt", at=7, how=name), work_dir=tmp_path / "cut")
    assert stopped.value.code == {"SIGTERM": 143, "SIGINT": 130}[name]
    assert f"{name} after iteration 8 of 12" in stopped.value.message  # 7 is in the middle of an accumulated gradient
    assert (tmp_path / "cut" / "last_checkpoint").read_text().strip() == "iter_8.pth"
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_signal_before_a_validation_leaves_it_to_the_resumed_run(tmp_path):
    config = tiny_config()
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(TrainingStopped):
        train(with_hook(config, type="EndAt", at=4, how="SIGTERM"), work_dir=tmp_path / "cut")
    assert [row["iter"] for row in read_log(tmp_path / "cut") if row["mode"] == "val"] == []
    train(config, work_dir=tmp_path / "cut", resume=tmp_path / "cut" / "iter_4.pth")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_losses_do_not_depend_on_workers_or_validation(tmp_path):
    train(tiny_config(), work_dir=tmp_path / "a")
    unvalidated = tiny_config(**{"train_dataloader.num_workers": 1})
    del unvalidated["val_dataloader"], unvalidated["val_evaluator"]
    train(unvalidated, work_dir=tmp_path / "b")
    assert [r for r in read_log(tmp_path / "a") if r["mode"] == "train"] == read_log(tmp_path / "b")


def test_real_clip_dataset_resumes_exactly(tmp_path):
    loader = {"batch_size": 2, "num_workers": 1, "dataset": clip_dataset(tmp_path / "clips")}
    config = tiny_config(train_dataloader=loader)
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=6), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_checkpoint_of_another_model_is_refused_before_any_work(tmp_path):
    train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=tmp_path / "a")
    other = tiny_config(**{"model.backbone.channels": 8})
    with pytest.raises(WeightsError, match=r"another model.*backbone\.flow\.weight: \(4, 3, 3, 3\) instead of \(8, 3,"):
        train(other, work_dir=tmp_path / "b", resume=tmp_path / "a" / "iter_4.pth")
    assert not (tmp_path / "b").exists()


def test_what_cannot_be_resumed_says_so(tmp_path):
    train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"iter_4\.pth is at iteration 4, beyond train_cfg\.max_iters=2"):
        train(tiny_config(**{"train_cfg.max_iters": 2}), work_dir=tmp_path, resume=True)
    best = next(tmp_path.glob("best_*.pth"))
    with pytest.raises(WeightsError, match="holds weights only"):
        train(tiny_config(), work_dir=tmp_path, resume=best)
    with pytest.raises(WeightsError, match="do not exist"):
        train(tiny_config(), work_dir=tmp_path, resume=tmp_path / "nothing.pth")


def test_signal_in_the_last_iteration_leaves_only_the_end_to_do(tmp_path):
    config = tiny_config()
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(TrainingStopped):
        train(with_hook(config, type="EndAt", at=12, how="SIGTERM"), work_dir=tmp_path / "cut")
    assert not (tmp_path / "cut" / "weights.safetensors").exists()
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)  # a job that is started once more does no harm
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_average_can_be_dropped_and_taken_up(tmp_path):
    changes = {"train_cfg.max_iters": 4, "optim_wrapper.optimizer.lr": 0.0, "param_scheduler": []}
    averaged = tiny_config(**changes)
    plain = {**averaged, "custom_hooks": []}
    weights = {}
    trained = train(tiny_config(**{"train_cfg.max_iters": 4}), work_dir=tmp_path)  # raw and averaged weights differ
    weights["raw"] = trained.model.backbone.body.weight.clone()
    changes = {**changes, "train_cfg.max_iters": 5}
    dropped = train({**plain, "train_cfg": {"max_iters": 5}}, work_dir=tmp_path, resume=True)
    assert torch.equal(dropped.model.backbone.body.weight, weights["raw"])
    train({**averaged, "train_cfg": {"max_iters": 6}}, work_dir=tmp_path, resume=True)
    again = torch.load(tmp_path / "iter_6.pth", weights_only=True)
    assert torch.equal(again["state_dict"]["backbone.body.weight"], weights["raw"])


def test_resume_without_a_checkpoint_starts_anew(tmp_path):
    train(tiny_config(), work_dir=tmp_path / "a")
    train(tiny_config(), work_dir=tmp_path / "b", resume=True)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_each_iteration_has_its_own_randomness():
    drawn = {}
    for key in [(0, 0, 5), (0, 0, 6), (0, 1, 5), (1, 0, 5)]:
        seed_iteration(*key)
        drawn[key] = draw_from_every_generator()
    assert len({value for values in drawn.values() for value in values}) == 4 * 3
    seed_iteration(0, 0, 5)
    assert draw_from_every_generator() == drawn[0, 0, 5]


def draw_from_every_generator() -> tuple[float, float, float]:
    return torch.rand(1).item(), float(np.random.rand()), random.random()  # noqa: NPY002  (the global one is meant)
