"""Every argument of every degradation: an impossible value is refused by name, and what is let through works."""

import inspect
import math

import numpy as np
import pytest
import torch

from tests.contract.tiny import DEGRADATIONS as TINY
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS

DEGRADATIONS.import_from_location()
NAN, INF = float("nan"), float("inf")
NESTED = ("step", "steps")  # configs of degradations
# What no argument takes, whatever it means.
NONSENSE = [NAN, INF, -INF, object(), {}, set(), b"1", (1, NAN), (NAN, 1), (1, INF), (3, 2, 1), (), ("a", "b"), [[1]]]
OF_RANGES = [(5, 2), (1e9, 1e-9), (1, 2, 3), ("1", "2"), (None, 2), (True, True), "wide", None, True]
OF_NUMBERS = [-1e9, "1", None, (1, 2), True, [1]]
OF_FLAGS = ["yes", "no", 2, None, (True,), 0.5]
OF_NAMES = ["nonsense", 3, "", True]
OF_CHOICES = ["nonsense", {"nonsense": 1}, [], {}, None, 3, True, [1, 2]]


def arguments():
    own = (name for name, entry in DEGRADATIONS.module_dict.items() if entry.__module__.startswith("vrestore."))
    for name in sorted(own):
        for field, parameter in inspect.signature(DEGRADATIONS.get(name)).parameters.items():
            if field not in NESTED and parameter.kind is not parameter.VAR_KEYWORD:
                yield pytest.param(name, field, parameter.default, id=f"{name}-{field}")


def impossible(field: str, default) -> list:
    """Values that an argument with such a default cannot have."""
    if isinstance(default, bool):
        values = OF_FLAGS
    elif isinstance(default, tuple) and all(isinstance(v, int | float) for v in default):
        values = OF_RANGES
    elif isinstance(default, int | float):
        values = OF_NUMBERS
    elif isinstance(default, str):
        values = OF_NAMES
    elif isinstance(default, dict | tuple):
        values = OF_CHOICES
    else:
        values = []  # optional, and of a kind that its default does not tell
    return [*values, *NONSENSE] if field != "protocol" else [3, True, (), {}]


def refusal(config: dict) -> str | None:
    try:
        DEGRADATIONS.build(config)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("name", "field", "default"), list(arguments()))
def test_an_impossible_value_is_refused_by_its_name(name, field, default):
    optional = "None" in str(inspect.signature(DEGRADATIONS.get(name)).parameters[field].annotation)
    for value in impossible(field, default):
        if value is None and optional:
            continue
        if default is not None and value == default and type(value) is type(default):
            continue
        told = refusal({**TINY[name], field: value})
        assert told is not None, f"{name}({field}={value!r}) was taken"
        assert name in told, value
        assert field in told, value


@pytest.mark.parametrize(("name", "field", "default"), list(arguments()))
def test_what_is_let_through_works(name, field, default):
    """Extremes that are allowed give pictures: finite, in [0, 1]."""
    frames = torch.rand(3, 3, 88, 96)
    numbers = (0, 1, 2, 3, 0.25, 0.999, 20, 255, -3)
    for value in (*numbers, (0, 0), (0, 1), (1, 1), (0.001, 0.01), (1, 3), (0.5, 100), (-9, 9)):
        try:
            degradation = DEGRADATIONS.build({**TINY[name], field: value})
        except ConfigError:
            continue
        try:
            degraded, record = degradation(frames, np.random.default_rng(0))
        except RequestError:  # a blur wider than the frames
            assert name == "BlurDown", (field, value)
            continue
        assert degraded.numel(), (field, value)
        assert torch.isfinite(degraded).all(), (field, value)
        assert degraded.min() >= 0, (field, value)
        assert degraded.max() <= 1, (field, value)
        assert math.isfinite(float(record["scale"]))


@pytest.mark.parametrize("name", ["Compose", "Shuffle", "Chance"])
def test_faults_within_a_chain_name_the_step(name):
    bad = {"type": "RandomNoise", "sigma": (9, 1)}
    config = {"type": name, "step": bad} if name == "Chance" else {"type": name, "steps": [{"type": "Flicker"}, bad]}
    with pytest.raises(ConfigError, match=r"RandomNoise .*sigma must be .*got \(9, 1\)"):
        DEGRADATIONS.build(config)
    for nonsense in (None, 3, "RandomBlur", [], {}, [3], [None], ["RandomBlur"], [{}]):
        with pytest.raises(ConfigError):
            DEGRADATIONS.build({"type": name, "step" if name == "Chance" else "steps": nonsense})
