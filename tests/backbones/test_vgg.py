"""VGGFeatures: torchvision's names and sizes, and layers that are computed no further than asked."""

import pytest
import torch

from vrestore import load_network
from vrestore.backbones import VGGFeatures
from vrestore.checkpoints.weightless import weightless
from vrestore.errors import ConfigError
from vrestore.layers.vgg_layout import layer_numbers


@pytest.mark.parametrize(("kind", "count", "last"), [("vgg16", 14_714_688, 28), ("vgg19", 20_024_384, 34)])
def test_official_sizes_load(kind, count, last):
    with weightless():
        net = VGGFeatures(kind)
    assert sum(p.numel() for p in net.parameters()) == count
    assert net.features[last].weight.shape == (512, 512, 3, 3)
    assert f"features.{last + 1}.weight" not in net.state_dict()
    small = VGGFeatures(kind, channels=(1, 2, 3, 4, 5))
    loaded = load_network({**small.state_dict(), "classifier.6.bias": torch.rand(2)})
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(loaded(x, [last])[last], small(x, [last])[last])


def test_torchvision_has_the_same_layers():
    models = pytest.importorskip("torchvision.models")
    with weightless():
        for kind, build in (("vgg16", models.vgg16), ("vgg19", models.vgg19)):
            theirs = [type(layer).__name__ for layer in build(weights=None).features]
            assert theirs == [type(layer).__name__ for layer in VGGFeatures(kind).features]


def test_layers_by_name():
    numbers = layer_numbers("vgg19")
    assert [numbers[f"conv{name}"] for name in ("1_2", "2_2", "3_4", "4_4", "5_4")] == [2, 7, 16, 25, 34]
    assert numbers["pool5"] == 36
    assert layer_numbers("vgg16")["relu5_3"] == 29


def test_a_layer_is_computed_no_further_than_asked():
    net = VGGFeatures(channels=(1, 1, 1, 1, 1))
    found = net(torch.rand(1, 3, 2, 2), [0, 3])  # too small for the later maxima
    assert set(found) == {0, 3}
    assert found[3].min() >= 0
    with pytest.raises(ConfigError, match="channels must be 5 widths"):
        VGGFeatures(channels=(1, 2))
