"""StartFromHook: a part begins with weights of its own, and a resumed run goes on with what it had."""

import pytest
import torch
from safetensors.torch import save_file

from tests.engine.parts import tiny_config
from vrestore.engine.train import train
from vrestore.errors import ConfigError, WeightsError
from vrestore.registry import BACKBONES

PART = "backbone.body"


@pytest.fixture
def start(tmp_path):
    config = tiny_config()
    body = BACKBONES.build(dict(config["model"]["backbone"])).body
    weights = {name: torch.full_like(value, 0.125) for name, value in body.state_dict().items()}
    save_file(weights, tmp_path / "body.safetensors")
    return tmp_path / "body.safetensors", weights


def changes(file, part=PART, iters=1, lr=0.0):
    return {
        "custom_hooks": [{"type": "StartFromHook", "parts": {part: str(file)}}],
        "train_cfg.max_iters": iters,
        "optim_wrapper.optimizer.lr": lr,
        "default_hooks.checkpoint": {"interval": 1, "max_keep_ckpts": 9},
    }


def test_the_part_begins_with_the_file(tmp_path, start):
    file, weights = start
    train(tiny_config(**changes(file)), work_dir=tmp_path / "run")
    state = torch.load(tmp_path / "run" / "iter_1.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(state[f"{PART}.{name}"], value) for name, value in weights.items())


def test_a_resumed_run_keeps_its_own(tmp_path, start):
    file, _ = start
    train(tiny_config(**changes(file, lr=0.1)), work_dir=tmp_path / "run")
    train(tiny_config(**changes(file, iters=2, lr=0.1)), work_dir=tmp_path / "run", resume=True)
    train(tiny_config(**changes(file, iters=2, lr=0.1)), work_dir=tmp_path / "whole")
    states = [torch.load(tmp_path / d / "iter_2.pth", weights_only=True)["state_dict"] for d in ("run", "whole")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_is_wrong_is_named(tmp_path, start):
    file, _ = start
    with pytest.raises(ConfigError, match=r"the model has no part 'backbone\.spynet'.*it begins with: .*backbone"):
        train(tiny_config(**changes(file, "backbone.spynet")), work_dir=tmp_path / "a")
    with pytest.raises(WeightsError, match=r"gone\.safetensors do not exist"):
        train(tiny_config(**changes(tmp_path / "gone.safetensors")), work_dir=tmp_path / "b")


def test_a_part_may_begin_with_some_of_a_files_weights(tmp_path, start):
    _, weights = start
    more = {**weights, "deeper.3.weight": torch.ones(2), "deeper.4.bias": torch.ones(1)}
    save_file(more, tmp_path / "deeper.safetensors")
    config = changes(tmp_path / "deeper.safetensors")
    with pytest.raises(WeightsError, match=r"deeper\.3\.weight"):
        train(tiny_config(**config), work_dir=tmp_path / "refused")
    config["custom_hooks"][0]["leave_out"] = ["deeper.*"]
    train(tiny_config(**config), work_dir=tmp_path / "run")
    state = torch.load(tmp_path / "run" / "iter_1.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(state[f"{PART}.{name}"], value) for name, value in weights.items())
