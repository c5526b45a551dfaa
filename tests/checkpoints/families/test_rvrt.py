"""Weights of RVRT: the release's names and ours, sizes told by shapes, what does not fit."""

import pytest
import torch

from tests.checkpoints.families.official import check_official
from tests.checkpoints.parts import SMALL_SPYNET, basicsr_names, same_weights
from tests.contract import tiny
from tests.paths import needs_shared_parity
from vrestore import load_network
from vrestore.backbones import RVRT
from vrestore.checkpoints.architectures import identify
from vrestore.errors import WeightsError
from vrestore.registry import BACKBONES

SIZES = [
    dict(),
    dict(num_blocks=[2, 1, 3], depths=[1, 3, 2], num_heads=[1, 3, 2], mlp_ratio=3.0),
    dict(embed_dims=[8, 8, 20], upscale=2, upsample_channels=12, offset_channels=6),
    dict(clip_size=4, window_size=[2, 8, 8], deformable_groups=6, spynet=SMALL_SPYNET),
    dict(clip_size=1, window_size=[3, 2, 2], upscale=8, inputconv_groups=[1, 2, 3, 4, 6, 12]),
    dict(embed_dims=[12, 12, 12], inputconv_groups=[3, 1, 1, 1, 1, 1]),
]


def small(**sizes):
    torch.manual_seed(0)
    return BACKBONES.build({**tiny.RVRT, **sizes}).eval()


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("naming", [dict, basicsr_names])
def test_both_namings_and_every_size(sizes, naming):
    net = small(**sizes)
    loaded = load_network({"params": naming(net.state_dict())}, attention_heads=4)
    assert isinstance(loaded, RVRT)
    assert same_weights(loaded, net)
    lq = torch.rand(1, 2 * net.frames_multiple, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(loaded(lq), net(lq))


def test_what_shapes_cannot_tell_is_a_keyword():
    weights = small().state_dict()
    loaded = load_network(weights, attention_heads=2, cpu_cache_length=7)
    assert loaded.cpu_cache_length == 7
    assert all(align.num_heads == 2 for align in loaded.deform_align.values())
    weights = small(attention_window=[1, 3]).state_dict()
    align = load_network(weights, attention_heads=4, attention_window=(1, 3)).deform_align["backward_1"]
    assert (align.window, align.deform_groups) == ((1, 3), 4)
    with pytest.raises(WeightsError, match=r"attention_window=\(5, 5\) contradicts the weights: 48 offsets"):
        load_network(weights, attention_heads=4, attention_window=(5, 5))
    with pytest.raises(WeightsError, match=r"deformable_groups=2 contradicts the weights: their offsets are of 4"):
        load_network(weights, attention_heads=4, attention_window=(1, 3), deformable_groups=2)
    with pytest.raises(WeightsError, match=r"clip_size=4 contradicts the weights"):
        load_network(weights, clip_size=4)


def test_windows_that_are_not_square_are_a_keyword():
    net = small(window_size=[2, 2, 4])
    assert same_weights(load_network(net.state_dict(), attention_heads=4, window_size=[2, 2, 4]), net)


def test_constants_may_be_absent_and_nothing_else():
    net = small()
    constants = ("spynet.mean", "spynet.std", "relative_position_index")
    weights = {name: value for name, value in net.state_dict().items() if not name.endswith(constants)}
    assert same_weights(load_network(weights, attention_heads=4), net)
    del weights["deform_align.forward_2.mlp.1.fc2.bias"]
    with pytest.raises(WeightsError, match=r"looks like RVRT.*missing \(deform_align.forward_2.mlp.1.fc2.bias"):
        load_network(weights, attention_heads=4)


def test_models_of_the_same_resolution_are_not_known():
    """Their layers before the features have other names: nothing is guessed, the closest architecture is named."""
    weights = {name: value for name, value in small().state_dict().items() if not name.startswith("feat_extract.")}
    with pytest.raises(WeightsError, match=r"belongs to no known architecture; closest is RVRT"):
        load_network(weights)


@needs_shared_parity
def test_official_list_is_of_one_architecture():
    arguments = check_official("rvrt_videosr_x4", "RVRT")
    assert arguments["deformable_groups"] == 12
    assert arguments["num_blocks"] == [1, 2, 1]


def test_it_is_recognised_alone():
    from vrestore.checkpoints.architectures import ARCHITECTURES

    state = small().state_dict()
    assert identify(state)[0].name == "RVRT"
    assert [a.name for a in ARCHITECTURES.values() if a.detect(a.rename(state))] == ["RVRT"]
