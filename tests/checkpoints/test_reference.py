"""Reference weights: the same numbers from names alone, as the parity tests make them."""

import numpy as np
import pytest
import torch

import vrestore
from tests.parity.references import make_weights
from vrestore.checkpoints.reference import DAMPING, fill_with_reference, reference_array
from vrestore.registry import BACKBONES, MODELS

BASICVSR = {
    "type": "BasicVSR",
    "mid_channels": 8,
    "num_blocks": 2,
    "spynet": {"type": "SPyNet", "num_levels": 2, "channels": [4, 4, 4, 4], "kernel_size": 3},
}


def test_they_are_those_of_the_parity_tests():
    net = BACKBONES.build(BASICVSR)
    fill_with_reference(net)
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters()}
    expected = make_weights(shapes, 1.0, DAMPING)
    assert all(torch.equal(p, expected[name]) for name, p in net.named_parameters())
    assert torch.equal(net.spynet.std, BACKBONES.build(BASICVSR).spynet.std)


def test_norms_scale_around_one():
    assert abs(reference_array("layers.0.norm1.weight", (64,)).mean() - 1) < 0.02
    assert abs(reference_array("layers.0.norm1.bias", (64,)).mean()) < 0.02


def test_a_prefix_makes_other_weights():
    one, two = (reference_array("conv.weight", (2, 3, 3, 3), prefix) for prefix in ("", "other/"))
    assert not np.allclose(one, two)


def test_a_restorer_is_filled_by_the_networks_own_names():
    restorer = MODELS.build({"type": "RegressionRestorer", "backbone": BASICVSR})
    fill_with_reference(restorer)
    net = BACKBONES.build(BASICVSR)
    fill_with_reference(net)
    assert all(torch.equal(a, b) for a, b in zip(restorer.backbone.parameters(), net.parameters(), strict=True))


def test_stages_of_a_cascade_are_filled(caplog):
    stage = {"type": "RegressionRestorer", "backbone": BASICVSR}
    model = {"type": "CascadeRestorer", "stages": [{"type": "ResampleRestorer"}, stage], "requests": [{"scale": 1}, {}]}
    cascade = vrestore.load_restorer(model, "reference:", "cpu")
    alone = vrestore.load_restorer(stage, "reference:", "cpu")
    frames = torch.rand(2, 3, 16, 16)
    assert torch.equal(cascade.restore(frames), alone.restore(frames))


def test_a_zoo_name_needs_no_file_and_is_warned_of(caplog, monkeypatch):
    monkeypatch.setattr("logging.Logger.propagate", True, raising=False)
    restorer = vrestore.load_restorer("basicvsr-small-x4", "reference:", "cpu")
    again = vrestore.load_restorer("basicvsr-small-x4", "reference:", "cpu")
    frames = torch.rand(2, 3, 16, 16)
    assert torch.equal(restorer.restore(frames), again.restore(frames))
    other = vrestore.load_restorer("basicvsr-small-x4", "reference:other/", "cpu")
    assert not torch.equal(restorer.restore(frames), other.restore(frames))


@pytest.mark.parametrize("names", [["rife-4.25", "realbasicvsr"]])
def test_a_cascade_of_zoo_names_needs_no_file(names):
    restorer = vrestore.load_restorer({"type": "CascadeRestorer", "stages": names}, "reference:", "cpu")
    assert restorer.capabilities.default_scale == 4
