"""CosineAnnealingRestartLR: the published formula, iteration by iteration, and across a resume."""

import math

import pytest
import torch

from tests.engine.parts import PowerCut, assert_same_run, read_log, tiny_config, with_hook
from vrestore.engine.cosine_restart import CosineAnnealingRestartLR
from vrestore.engine.train import train
from vrestore.errors import ConfigError

BASE, LEAST = 4e-4, 1e-7


def published(n, periods, weights):
    start = 0
    for period, weight in zip(periods, weights, strict=True):
        if n <= start + period:
            return LEAST + weight * 0.5 * (BASE - LEAST) * (1 + math.cos(math.pi * (n - start) / period))
        start += period
    return LEAST


@pytest.mark.parametrize(("periods", "weights"), [([10], [1]), ([4, 6, 3], [1, 0.5, 0.25])])
def test_values(periods, weights):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    schedule = CosineAnnealingRestartLR(optimiser, periods, weights, LEAST)
    for n in range(sum(periods) + 4):
        assert optimiser.param_groups[0]["lr"] == pytest.approx(published(n, periods, weights), rel=1e-12)
        optimiser.step()
        schedule.step()


def test_it_begins_where_it_is_told():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    schedule = CosineAnnealingRestartLR(optimiser, [4], eta_min=LEAST, begin=3)
    rates = []
    for _ in range(7):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([BASE] * 3 + [published(n, [4], [1]) for n in range(4)])


def test_a_run_follows_it_in_every_group_and_across_a_resume(tmp_path):
    schedule = [dict(type="CosineAnnealingRestartLR", periods=[6, 6], restart_weights=[1, 0.5], eta_min=1e-7)]
    paramwise = {"custom_keys": {"flow": {"lr_mult": 0.125}}}
    config = tiny_config(param_scheduler=schedule, **{"optim_wrapper.paramwise_cfg": paramwise})
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=9), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    rows = [row for row in read_log(tmp_path / "whole") if row["mode"] == "train"]
    expected = [LEAST + published(n, [6, 6], [1, 0.5]) / BASE * 1e-2 for n in range(12)]
    assert [row["lr"] for row in rows] == pytest.approx(expected, abs=1e-5)
    assert rows[8]["lr_1"] == pytest.approx(rows[8]["lr"] / 8, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"periods": []}, r"periods must be whole numbers >= 1, got \[\]"),
        ({"periods": [4, 0]}, r"periods must be whole numbers >= 1, got \[4, 0\]"),
        ({"periods": [4, 4]}, "periods and restart_weights must be as many, got 2 and 1"),
        ({}, "needs the argument 'periods'"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny_config(param_scheduler=[{"type": "CosineAnnealingRestartLR", **changes}]), work_dir=tmp_path / "run")
