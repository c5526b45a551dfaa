"""SwinIR: every head and connection recognised, with every size read from the weights."""

import pytest
import torch

from tests.checkpoints.parts import same_weights
from vrestore.checkpoints.network import load_network
from vrestore.errors import WeightsError
from vrestore.registry import BACKBONES

SMALL = dict(type="SwinIR", embed_dim=12, depths=[2, 1], num_heads=[3, 2], window_size=4, img_size=12, mlp_ratio=1.5)
HEADS = [
    *(dict(upsampler="pixelshuffle", upscale=factor) for factor in (2, 3, 4, 8)),
    *(dict(upsampler="pixelshuffledirect", upscale=factor) for factor in (2, 3, 4)),
    *(dict(upsampler="nearest+conv", upscale=factor) for factor in (2, 4)),
    dict(upsampler="", upscale=1),
    dict(upsampler="", upscale=1, in_chans=1),
    dict(upsampler="pixelshuffledirect", upscale=2, in_chans=1),
]


def build(**more):
    torch.manual_seed(3)
    return BACKBONES.build({**SMALL, **more}).eval()


@pytest.mark.parametrize("connection", ["1conv", "3conv"])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_heads_and_connections(head, connection):
    network = build(**head, resi_connection=connection)
    loaded = load_network({"params": network.state_dict()})
    assert same_weights(loaded, network)
    x = torch.rand(1, head.get("in_chans", 3), 7, 9)
    with torch.no_grad():
        out = loaded(x)
        assert torch.equal(out, network(x))
    assert out.shape == (1, x.shape[1], 7 * head["upscale"], 9 * head["upscale"])


@pytest.mark.parametrize("more", [dict(qkv_bias=False), dict(patch_norm=False), dict(window_size=6), dict(img_size=4)])
def test_sizes(more):
    network = build(upsampler="pixelshuffle", **more)
    loaded = load_network(network.state_dict())
    assert same_weights(loaded, network)
    x = torch.rand(1, 3, 9, 17)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))


def test_constants_may_be_missing():
    network = build(upsampler="pixelshuffle", upscale=2)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith(("attn_mask", "relative_position_index"))}
    x = torch.rand(1, 3, 12, 20)
    with torch.no_grad():
        assert torch.equal(load_network(state)(x), network(x))


def test_the_range_of_the_jpeg_models():
    jpeg = build(upsampler="", upscale=1, window_size=7, img_size=14, img_range=255.0)
    assert load_network(jpeg.state_dict()).img_range == 255
    assert load_network(jpeg.state_dict(), img_range=1.0).img_range == 1
    assert load_network(build(upsampler="", upscale=1).state_dict()).img_range == 1


def test_a_relative_is_not_taken_for_it():
    state = dict(build(upsampler="pixelshuffle", upscale=2).state_dict())
    state["layers.0.residual_group.blocks.0.conv_block.cab.0.weight"] = torch.zeros(3)  # of HAT
    with pytest.raises(WeightsError, match=r"belongs to no known architecture; closest is SwinIR: .*1 left over"):
        load_network(state)
    state = dict(build(upsampler="pixelshuffle", upscale=2).state_dict())
    state["norm.weight"] = torch.zeros(5)
    with pytest.raises(WeightsError, match=r"looks like SwinIR, but does not fit: .*norm\.weight: \(5,\) instead of"):
        load_network(state)
