import pytest
from torch import nn

from vrestore.engine.hooks.freeze import FreezeHook, matching_parameters
from vrestore.errors import ConfigError

MODEL = nn.ModuleDict({"spynet": nn.Linear(1, 1), "spynet_2": nn.Linear(1, 1), "body": nn.Linear(1, 1)})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["spynet"], ["spynet.weight", "spynet.bias"]),
        (["body.bias"], ["body.bias"]),
        (["spynet*.bias"], ["spynet.bias", "spynet_2.bias"]),
        (["body", "body.bias", "spynet_2"], ["body.weight", "body.bias", "spynet_2.weight", "spynet_2.bias"]),
    ],
)
def test_names_mean_parts_parameters_and_patterns(names, expected):
    found = {id(p) for p in matching_parameters(MODEL, names)}
    assert found == {id(dict(MODEL.named_parameters())[name]) for name in expected}


def test_a_name_without_parameters_is_refused_with_the_closest():
    with pytest.raises(ConfigError, match="'spinet' names no parameter of ModuleDict; closest: spynet"):
        matching_parameters(MODEL, ["spinet"])
    with pytest.raises(ConfigError, match="iters must be a whole number >= 1, got 0"):
        FreezeHook("spynet", iters=0)
