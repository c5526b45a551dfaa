import torch

from tests.engine.parts import tiny_config
from vrestore.engine.hooks import StepEMAHook
from vrestore.engine.train import train
from vrestore.registry import HOOKS


def test_average_moves_by_its_momentum_once_a_step(tmp_path):
    assert HOOKS.get("EMAHook") is StepEMAHook
    changes = {
        "optim_wrapper.accumulative_counts": 2,
        "train_cfg.max_iters": 6,
        "default_hooks.checkpoint": {"interval": 2, "max_keep_ckpts": 9},
        "custom_hooks": [{"type": "EMAHook", "momentum": 0.25}],
    }
    train(tiny_config(**changes), work_dir=tmp_path)
    states = [torch.load(tmp_path / f"iter_{i}.pth", weights_only=True) for i in (2, 4, 6)]
    name = "backbone.body.weight"
    averaged = [s["state_dict"][name] for s in states]
    raw = [s["ema_state_dict"][f"module.{name}"] for s in states]  # MMEngine swaps the two when it saves
    assert torch.equal(averaged[0], raw[0])  # the first step sets it
    for i in (1, 2):
        assert torch.allclose(averaged[i], 0.75 * averaged[i - 1] + 0.25 * raw[i], atol=1e-7)
    assert [int(s["ema_state_dict"]["steps"]) for s in states] == [1, 2, 3]
