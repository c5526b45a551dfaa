import json
from types import SimpleNamespace

import pytest

from vrestore.engine.hooks.log import LogHook, drop_lines_after, learning_rates
from vrestore.errors import ConfigError


def test_lines_of_an_abandoned_future_are_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [("train", 2), ("train", 4), ("val", 4), ("train", 6), ("val", 6), ("train", 8)]
    text = "".join(json.dumps({"mode": mode, "iter": i}) + "\n" for mode, i in rows)
    path.write_text(text + '{"mode": "tr')  # what a killed process did not finish
    drop_lines_after(path, 6)
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["mode"], row["iter"]) for row in kept] == rows[:4]  # the validation at 6 is done again
    drop_lines_after(path, 0)
    assert not path.exists()
    drop_lines_after(path, 3)  # no log yet


def test_rates_of_parameter_groups():
    def runner(**rates):
        return SimpleNamespace(optim_wrapper=SimpleNamespace(get_lr=lambda: rates))

    assert learning_rates(runner(lr=[0.1])) == {"lr": 0.1}
    assert learning_rates(runner(base_lr=[0.1], lr=[0.1, 0.0125, 0.1])) == {"lr": 0.1, "lr_1": 0.0125}


@pytest.mark.parametrize("interval", [0, 1001, 2.5])
def test_interval_is_checked(interval):
    with pytest.raises(ConfigError, match="interval must be a whole number from 1 to 1000"):
        LogHook(interval)
