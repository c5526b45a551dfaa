"""Weights of Zooming Slow-Mo and VideoINR, which share their encoder: official lists, sizes, told apart."""

import pytest
import torch

from tests.checkpoints.families.official import check_official
from tests.checkpoints.parts import same_weights
from tests.paths import needs_shared_parity
from vrestore import load_network
from vrestore.backbones import VideoINR, ZoomingSlowMo
from vrestore.errors import WeightsError

ENCODER = dict(mid_channels=6, deform_groups=3, front_blocks=2, back_blocks=1, hr_channels=5)
NETWORKS = {
    "ZoomingSlowMo": lambda: ZoomingSlowMo(**ENCODER),
    "VideoINR": lambda: VideoINR(**ENCODER, feature_hidden=[4, 5], flow_hidden=[3], encode_hidden=[7, 6, 5]),
}


@needs_shared_parity
def test_official_names():
    arguments = check_official("zooming_slowmo", "ZoomingSlowMo")
    official = dict(mid_channels=64, deform_groups=8, front_blocks=5, back_blocks=40, hr_channels=64)
    assert arguments == official
    arguments = check_official("videoinr", "VideoINR")
    assert {key: arguments[key] for key in official} == official
    assert arguments["feature_hidden"] == arguments["flow_hidden"] == (64, 64, 256)
    assert arguments["encode_hidden"] == (64, 64, 256, 256)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_sizes_are_told_by_shapes(name, prefix):
    network = NETWORKS[name]().eval()
    loaded = load_network({prefix + key: value for key, value in network.state_dict().items()})
    assert type(loaded) is type(network)
    assert same_weights(loaded, network)
    lq = torch.rand(1, 2, 3, 8, 12)
    with torch.no_grad():
        assert torch.equal(loaded(lq), network(lq))


@pytest.mark.parametrize("name", NETWORKS)
def test_missing_and_left_over_weights_are_named(name):
    state = dict(NETWORKS[name]().state_dict())
    del state["fusion.bias"]
    state["surplus"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=rf"looks like {name}, but .*1 missing \(fusion\.bias\); 1 left over"):
        load_network(state)


def test_a_part_of_videoinr_is_not_taken_for_zooming_slowmo():
    state = {key: value for key, value in NETWORKS["VideoINR"]().state_dict().items() if "feat_imnet" not in key}
    with pytest.raises(WeightsError, match="closest is VideoINR"):
        load_network(state)
