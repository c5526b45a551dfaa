"""Which checkpoints are kept."""

import pytest
import torch

from tests.engine.parts import tiny_config
from vrestore.engine.hooks import SafeCheckpointHook
from vrestore.engine.train import train
from vrestore.errors import ConfigError
from vrestore.registry import HOOKS


def test_both_names_mean_it():
    assert HOOKS.get("CheckpointHook") is HOOKS.get("SafeCheckpointHook") is SafeCheckpointHook


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interval": 0}, "interval must be a whole number >= 1, got 0"),
        ({"max_keep_ckpts": -1}, "max_keep_ckpts must be a whole number >= 1, got -1"),
        ({"by_epoch": True}, "by_epoch=True is not served"),
        ({"rule": "more"}, "rule must be 'greater', 'less' or None"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        SafeCheckpointHook(**settings)


def test_newest_are_kept_and_the_last_iteration_is_saved(tmp_path):
    changes = {"train_cfg.max_iters": 7, "default_hooks.checkpoint": {"interval": 2, "max_keep_ckpts": 3}}
    train(tiny_config(**changes), work_dir=tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*.pth")) == ["iter_4.pth", "iter_6.pth", "iter_7.pth"]


@pytest.mark.parametrize(("rule", "expected"), [(None, 12), ("greater", 4)])
def test_best_follows_the_metric_unless_a_rule_says_else(tmp_path, rule, expected):
    checkpoint = {"interval": 12, "save_best": "auto", "rule": rule}  # the error falls from validation to validation
    train(tiny_config(**{"default_hooks.checkpoint": checkpoint}), work_dir=tmp_path)
    (best,) = tmp_path.glob("best_*.pth")
    assert best.name == f"best_TinyError_iter_{expected}.pth"
    assert "optimizer" not in torch.load(best, weights_only=True)


def test_a_score_that_no_metric_gives_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="save_best='PSNR' is no score of val_evaluator; it has: TinyError"):
        train(tiny_config(**{"default_hooks.checkpoint.save_best": "PSNR"}), work_dir=tmp_path)
    assert not list(tmp_path.glob("*.pth"))
