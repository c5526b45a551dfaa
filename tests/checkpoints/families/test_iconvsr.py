"""load_network on IconVSR: both namings, sizes and padding told by shapes, keywords for what they cannot tell."""

import pytest
import torch

from tests.checkpoints.families.official import check_official
from tests.checkpoints.parts import SMALL_SPYNET, basicsr_names, same_weights
from tests.paths import needs_shared_parity
from vrestore.backbones import IconVSR
from vrestore.checkpoints import load_network
from vrestore.errors import WeightsError

ODD = dict(
    **dict(mid_channels=6, num_blocks=2, padding=1, deform_groups=3, num_blocks_extraction=2),
    **dict(hr_channels=5, spynet=SMALL_SPYNET),
)


@needs_shared_parity
@pytest.mark.parametrize("release", ["mmagic_iconvsr_c64b30", "basicsr_iconvsr_f64b30"])
@pytest.mark.parametrize(("data", "padding"), [("reds", 2), ("vimeo", 3)])
def test_official_lists(release, data, padding):
    arguments = check_official(f"{release}_{data}", "IconVSR")
    assert (arguments["padding"], arguments["num_blocks"], arguments["keyframe_stride"]) == (padding, 30, 5)


@pytest.mark.parametrize(
    "release",
    [
        lambda s: s,
        lambda s: {"params": basicsr_names(s)},
        lambda s: {"state_dict": {f"generator.{k}": v for k, v in s.items()}},
        lambda s: {k: v for k, v in s.items() if k not in ("spynet.mean", "spynet.std")},
    ],
)
@pytest.mark.parametrize("padding", [1, 3])
@torch.no_grad()
def test_releases_and_odd_sizes(release, padding):
    network = IconVSR(**{**ODD, "padding": padding}).eval()
    network.conv_last.weight.normal_()
    loaded = load_network(release(network.state_dict()))
    assert isinstance(loaded, IconVSR)
    assert same_weights(loaded, network)
    assert loaded.padding == padding
    lq = torch.rand(1, 3, 3, 12, 12)
    assert torch.equal(loaded(lq), network(lq))


def test_keywords():
    state = IconVSR(**ODD).state_dict()
    assert load_network(state).keyframe_stride == 5
    assert load_network(state, keyframe_stride=3).keyframe_stride == 3
    with pytest.raises(WeightsError, match="padding=2 contradicts the weights: their shapes say padding=1"):
        load_network(state, padding=2)


def test_weights_without_the_edvr_part():
    state = {k: v for k, v in IconVSR(**ODD).state_dict().items() if "feat_conv" not in k}
    with pytest.raises(
        WeightsError, match=r"looks like IconVSR, but does not fit: .*missing \(edvr\.pcd_alignment\.feat_conv"
    ):
        load_network(state)
