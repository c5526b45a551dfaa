import inspect
import json

import numpy as np
import pytest
import torch

import vrestore.degradations as package
from vrestore.degradations import BicubicDown, BlurDown, Compose, Degradation, Identity
from vrestore.errors import ConfigError, RegistryError
from vrestore.registry import DEGRADATIONS

CHAIN = {"steps": [{"type": "BlurDown", "scale": 2}, {"type": "BicubicDown", "scale": 1.5}]}
STEPS = {"Compose": CHAIN, "Shuffle": CHAIN, "Chance": {"step": {"type": "RandomBlur"}}}


def own_entries():
    DEGRADATIONS.import_from_location()
    return sorted(n for n, e in DEGRADATIONS.module_dict.items() if e.__module__.startswith(package.__name__))


@pytest.mark.parametrize("name", own_entries())
def test_every_entry_keeps_the_contract(name):
    """Builds at its defaults, leaves its input alone, repeats itself from a seed and records plain data."""
    degradation = DEGRADATIONS.build({"type": name, **STEPS.get(name, {})})
    assert isinstance(degradation, Degradation)
    assert inspect.getdoc(type(degradation))
    frames = torch.rand(3, 3, 48, 48)
    before = frames.clone()
    first, record = degradation(frames, np.random.default_rng(5))
    second, again = degradation(frames, np.random.default_rng(5))
    assert torch.equal(frames, before)
    assert torch.equal(first, second)
    assert record == again == json.loads(json.dumps(record))
    assert first.dtype == frames.dtype
    assert 0 <= first.min() <= first.max() <= 1
    assert record["name"] == name
    if not degradation.draws_size:
        assert record["scale"] == degradation.scale
        assert first.shape == (3, 3, *[np.ceil(48 / degradation.scale)] * 2)
    assert degradation.protocol in repr(degradation)


def test_identity_changes_nothing():
    frames = torch.rand(2, 3, 5, 7)
    same, record = Identity()(frames, np.random.default_rng(0))
    assert torch.equal(same, frames)
    assert record == {"name": "Identity", "scale": 1}


def test_compose_chains_and_merges_records():
    frames = torch.rand(2, 3, 48, 48)
    rng = np.random.default_rng(0)
    blur, down = BlurDown(scale=2), BicubicDown(scale=1.5)
    expected, blur_record = blur(frames, rng)
    expected, down_record = down(expected, rng)
    chain = Compose([blur, {"type": "BicubicDown", "scale": 1.5}])
    small, record = chain(frames, rng)
    assert torch.equal(small, expected)
    assert record == {"name": "Compose", "scale": 3, "steps": [blur_record, down_record]}
    assert chain.scale == 3
    assert chain.protocol == "BDx2-duf+BIx1.5"


def test_compose_shares_one_generator():
    class AddNoise(Degradation):
        def __call__(self, frames_TCHW, rng):
            sigma = float(rng.uniform(0, 0.1))
            noise = torch.from_numpy(rng.standard_normal(frames_TCHW.shape)).to(frames_TCHW)
            return (frames_TCHW + sigma * noise).clamp(0, 1), {"name": "AddNoise", "scale": 1, "sigma": sigma}

    frames = torch.full((1, 3, 4, 4), 0.5)
    _, record = Compose([AddNoise(), AddNoise()])(frames, np.random.default_rng(3))
    drawn = [step["sigma"] for step in record["steps"]]
    assert drawn[0] != drawn[1]
    assert Compose([AddNoise(), AddNoise()])(frames, np.random.default_rng(3))[1] == record


def test_compose_needs_steps():
    for bad in ([], None, {"type": "Identity"}):
        with pytest.raises(ConfigError, match="at least one degradation"):
            Compose(bad)
    with pytest.raises(RegistryError, match="BicubicDown"):
        Compose([{"type": "BicubicDwn"}])
