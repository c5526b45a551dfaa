"""RIFE's weights: official lists, versions told apart, sizes from shapes, what a release holds beside the network."""

import pytest
import torch

from tests.checkpoints.families.official import check_official, official_list, shapes_only
from tests.checkpoints.parts import same_weights
from tests.paths import needs_shared_parity
from vrestore import load_network
from vrestore.backbones import RIFE, IFNet
from vrestore.checkpoints.architectures import ARCHITECTURES, identify
from vrestore.errors import WeightsError

SMALL = {"num_convs": 2, "encoder_channels": 6, "feature_channels": 3}


def small_rife(version: str, **sizes) -> RIFE:
    count = 5 if version in ("4.25", "4.26") else 4
    sizes = ({"num_convs": 2} if version == "4.6" else SMALL) | {"channels": [10, 8, 6, 7, 4][:count]} | sizes
    return RIFE(version, **sizes).eval()


@needs_shared_parity
@pytest.mark.parametrize(
    ("variant", "version"),
    [("4_6", "4.6"), ("4_22", "4.22"), ("4_22_lite", "4.22.lite"), ("4_25", "4.25"), ("4_26", "4.25")],
)
def test_official_names_and_versions(variant, version):
    assert check_official(f"rife_v{variant}", "RIFE")["version"] == version


@needs_shared_parity
@pytest.mark.parametrize(("variant", "any_time"), [("rife_paper_ifnet", False), ("rife_paper_ifnet_m", True)])
def test_official_names_of_the_paper(variant, any_time):
    keys = official_list(variant)["keys"]
    network = load_network({f"module.{name}": torch.zeros(value.shape) for name, value in shapes_only(keys).items()})
    assert isinstance(network, IFNet)
    assert network.any_time == any_time
    own = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert own == {name: shape for name, shape in keys.items() if not name.startswith("block_tea.")}


@pytest.mark.parametrize("version", ["4.6", "4.22", "4.25"])
@pytest.mark.parametrize(
    "release",
    [
        lambda s: s,
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {**s, "teacher.conv0.0.0.weight": torch.zeros(2), "caltime.0.weight": torch.zeros(1)},
        lambda s: {f"module.{k}": v for k, v in {**s, "block_tea.lastconv.0.weight": torch.zeros(2)}.items()},
    ],
)
def test_releases(version, release):
    network = small_rife(version)
    loaded = load_network(release(network.state_dict()))
    assert isinstance(loaded, RIFE)
    assert loaded.version == version
    assert same_weights(loaded, network)
    frames = torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(*frames, 0.3), network(*frames, 0.3))


@pytest.mark.parametrize("any_time", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"channels": [9, 8, 7], "num_convs": 3, "context_channels": 5}])
def test_sizes_of_the_paper_are_told_by_shapes(any_time, sizes):
    network = IFNet(any_time, **({"channels": [6, 6, 6], "num_convs": 1, "context_channels": 4} | sizes)).eval()
    assert same_weights(load_network(network.state_dict()), network)


def test_versions_of_one_graph_are_told_by_the_caller():
    state = small_rife("4.26").state_dict()
    assert load_network(state).version == "4.25"
    assert load_network(state, version="4.26").version == "4.26"
    assert load_network(state, flow_scale=0.5).flow_scale == 0.5
    with pytest.raises(WeightsError, match=r"version='4\.6' contradicts the weights, which are of RIFE 4\.25 or 4\.26"):
        load_network(state, version="4.6")


def test_a_version_that_nobody_knows_is_named():
    state = {k: v for k, v in small_rife("4.25").state_dict().items() if not k.startswith("encode.")}
    with pytest.raises(WeightsError, match=r"a RIFE with 5 blocks and no encoder, which is none of the versions 4\.6"):
        load_network(state)


def test_missing_and_left_over_weights_are_named():
    state = dict(small_rife("4.22").state_dict())
    del state["block2.conv0.0.0.bias"]
    state["encode.cnn4.weight"] = torch.zeros(1)
    with pytest.raises(
        WeightsError,
        match=r"looks like RIFE, but .*1 missing \(block2\.conv0\.0\.0\.bias\); 1 left over \(encode\.cnn4",
    ):
        load_network(state)


@pytest.mark.parametrize("network", [small_rife("4.6"), IFNet(channels=[6, 6, 6], num_convs=1)])
def test_no_other_architecture_takes_them(network):
    state = network.state_dict()
    assert [a.name for a in ARCHITECTURES.values() if a.detect(a.rename(state))] == [identify(state)[0].name]
