"""Weights between weights."""

import pytest
import torch

from vrestore.checkpoints.interpolate import interpolate_weights
from vrestore.checkpoints.zoo import load_restorer
from vrestore.errors import ConfigError, WeightsError
from vrestore.registry import BACKBONES

SMALL = dict(type="SRVGGNetCompact", mid_channels=6, num_convs=2, upscale_factor=2)


@pytest.fixture
def files(tmp_path):
    """Two releases of one network."""
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        paths.append(tmp_path / f"{seed}.pth")
        torch.save({"params": BACKBONES.build(SMALL).state_dict()}, paths[-1])
    return paths


def test_the_weighted_sum(files):
    states = [torch.load(file)["params"] for file in files]
    mixed = interpolate_weights([(files[0], 0.3), (files[1], 0.7)])
    assert mixed.keys() == states[0].keys()
    for name, value in mixed.items():
        assert torch.equal(value, 0.3 * states[0][name] + 0.7 * states[1][name])
    alone = interpolate_weights([(states[0], 1.0), (states[1], 0.0)])
    assert all(torch.equal(alone[name], states[0][name]) for name in alone)


def test_constants_and_precision_are_those_of_the_first():
    first = {"w": torch.ones(2, dtype=torch.float16), "index": torch.tensor([1, 2])}
    mixed = interpolate_weights([(first, 0.5), ({"w": torch.full((2,), 3.0), "index": torch.tensor([1, 2])}, 0.5)])
    assert mixed["w"].dtype == torch.float16
    assert mixed["w"].tolist() == [2, 2]
    assert mixed["index"].tolist() == [1, 2]


def test_a_restorer_between_two_releases(files):
    config = dict(type="FramewiseRestorer", backbone=SMALL, weights=[(str(files[0]), 0.25), (str(files[1]), 0.75)])
    restorer = load_restorer(config, device="cpu")
    frames = torch.rand(2, 3, 8, 9)
    network = BACKBONES.build(SMALL)
    network.load_state_dict(interpolate_weights([(files[0], 0.25), (files[1], 0.75)]))
    with torch.no_grad():
        torch.testing.assert_close(restorer.restore(frames), network(frames).clamp(0, 1))
    one = load_restorer({**config, "weights": str(files[1])}, device="cpu")
    assert torch.equal(one.backbone.body[0].weight, torch.load(files[1])["params"]["body.0.weight"])


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "must|are given as"),
        ([({"w": torch.ones(1)}, 0.5)], "must sum to 1, got"),
        ([({"w": torch.ones(1)}, "half")], r"\[\(file, share\), …\]"),
        ([({"w": torch.ones(1)}, 0.5), ({"v": torch.ones(1)}, 0.5)], "has 'v', a state dict has not|has 'w'"),
        ([({"w": torch.ones(1)}, 0.5), ({"w": torch.ones(2)}, 0.5)], r"'w' is \(1,\) in a state dict and \(2,\)"),
    ],
)
def test_what_cannot_be_mixed(parts, words):
    with pytest.raises(WeightsError, match=words):
        interpolate_weights(parts)


def test_weights_that_are_no_files():
    with pytest.raises(ConfigError, match=r"weights must be a file or \[\(file, share\), …\], got 3"):
        load_restorer(dict(type="FramewiseRestorer", backbone=SMALL, weights=3), device="cpu")
