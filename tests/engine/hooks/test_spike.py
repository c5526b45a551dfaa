"""LossSpikeHook: leaps end a run, honest losses do not."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.logging import HistoryBuffer

from tests.engine.parts import tiny_config, with_hook
from tests.engine.shipped import CONFIGS, training_configs
from vrestore.config import load_config
from vrestore.engine.hooks import DEFAULT_HOOKS, LossSpikeHook
from vrestore.engine.train import train
from vrestore.errors import TrainingError
from vrestore.registry import HOOKS


def stopped_at(losses, name="loss", **settings) -> int | None:
    """The iteration at which a run with these losses is ended, None where it is not."""
    hook, seen = LossSpikeHook(**settings), HistoryBuffer()
    runner = SimpleNamespace(
        message_hub=SimpleNamespace(get_scalar=lambda key: {f"train/{name}": seen}[key]),
        describe_last_checkpoint=lambda: "the last checkpoint is here",
    )
    for i, loss in enumerate(losses):
        hook.before_train_iter(runner, i, {"clip": [f"clip_{i}"]})
        seen.update(float(loss))
        told = None
        try:
            hook.after_train_iter(runner, i, outputs={name: float(loss)})
        except TrainingError as error:
            told = str(error)
        if told is not None:
            assert f"clip_{i - 2}, clip_{i - 1}, clip_{i}; the last checkpoint is here" in told
            assert f"the {name} leapt to {loss:.4g} at iteration {i + 1}" in told
            return i + 1
    return None


def scattered(n, seed=0, spread=0.5):
    return np.exp(np.random.default_rng(seed).normal(0, spread, n)) * 0.02


def test_a_loss_that_leaps_and_stays_ends_the_run():
    assert stopped_at([*scattered(150), *[1.5] * 10]) == 153
    assert stopped_at([*scattered(150), 1.5, 1.5, *scattered(50)]) is None
    assert stopped_at([*scattered(150), *[1.5] * 10], name="loss_pixel") == 153


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.5])
def test_losses_that_scatter_honestly_do_not(spread):
    falling = np.linspace(10, 1, 3000)
    assert stopped_at(scattered(3000, 1, spread) * falling) is None


def test_a_few_bright_clips_among_black_ones_do_not():
    rng = np.random.default_rng(0)
    assert stopped_at(np.where(rng.random(3000) < 0.4, 0.05, 0.001)) is None
    assert stopped_at(np.zeros(300)) is None


def test_a_network_that_is_lost_does():
    rising = 0.01 * 1.2 ** np.maximum(np.arange(300) - 150, 0)
    assert stopped_at(rising * scattered(300, spread=0.1) / 0.02) < 190


def test_it_is_there_by_default_in_every_training(tmp_path):
    assert DEFAULT_HOOKS["spike"] == {"type": "LossSpikeHook"}
    assert HOOKS.get("LossSpikeHook") is LossSpikeHook
    for name in training_configs():
        assert (load_config(CONFIGS / name).get("default_hooks") or {}).get("spike", True) is not None
    runner = train(tiny_config(**{"train_cfg.max_iters": 1}), work_dir=tmp_path / "with")
    assert any(isinstance(hook, LossSpikeHook) for hook in runner.hooks)
    config = tiny_config(**{"train_cfg.max_iters": 1, "default_hooks.spike": None})
    assert not any(isinstance(hook, LossSpikeHook) for hook in train(config, work_dir=tmp_path / "without").hooks)
    patient = with_hook(tiny_config(**{"train_cfg.max_iters": 1}), type="EndAt", at=9)
    patient["default_hooks"]["spike"] = {"factor": 50.0}
    (hook,) = [h for h in train(patient, work_dir=tmp_path / "patient").hooks if isinstance(h, LossSpikeHook)]
    assert hook.factor == 50
