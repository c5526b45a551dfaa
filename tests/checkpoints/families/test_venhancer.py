"""VEnhancer's weights: sizes from shapes, what shapes cannot tell, parts alone. (Official names: tests/parity.)"""

import pytest
import torch

import vrestore
from tests.backbones.latents import CONTROL, TINY, conditions, inputs, tiny_unet
from tests.checkpoints.parts import same_weights
from vrestore.adapters import BaseAdapter, VideoControlNet
from vrestore.backbones import UNet3D
from vrestore.errors import WeightsError
from vrestore.registry import ADAPTERS


@pytest.fixture(scope="module")
def network():
    return tiny_unet(adapter=CONTROL)


@pytest.mark.parametrize(
    "release",
    [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}}],
)
def test_releases(network, release):
    loaded = vrestore.load_network(release(network.state_dict()), head_dim=16)
    assert isinstance(loaded, UNet3D)
    assert isinstance(loaded.adapter, VideoControlNet)
    assert not loaded.training
    assert same_weights(loaded, network)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs(), **conditions()), network(*inputs(), **conditions()))


@pytest.mark.parametrize(
    "sizes",
    [
        {"dim_mult": (1, 2, 4), "num_res_blocks": 2, "attn_scales": (1.0, 0.5), "num_heads": 3},
        {"dim_mult": (2, 4), "num_res_blocks": 3, "attn_scales": (0.5,), "in_dim": 6, "out_dim": 5},
        {"dim_mult": (1,), "attn_scales": (), "context_dim": 7},
        {"dim": 64, "dim_mult": (1, 2, 2), "attn_scales": (1.0, 0.25)},
    ],
)
def test_sizes_are_told_by_shapes(sizes):
    with torch.device("meta"):
        built = UNet3D(**{**TINY, **sizes})
    state = {name: torch.zeros(value.shape) for name, value in built.state_dict().items()}
    loaded = vrestore.load_network(state, head_dim=16)
    assert loaded.sizes == built.sizes
    assert loaded.adapter is None


def test_what_shapes_cannot_tell(network):
    state = network.state_dict()
    with pytest.raises(
        WeightsError, match=r"head_dim=64 does not divide the widths of the weights \(32, 64\).*head_dim=N"
    ):
        vrestore.load_network(state)
    loaded = vrestore.load_network(state, head_dim=8, dropout=0.3, chunk_tokens=99, gradient_checkpointing=True)
    assert loaded.sizes == {**network.sizes, "num_heads": 4, "head_dim": 8, "dropout": 0.3, "chunk_tokens": 99}
    assert loaded.adapter.sizes == loaded.sizes
    assert loaded.gradient_checkpointing
    assert loaded.adapter.gradient_checkpointing
    assert vrestore.load_network(state, head_dim=16, num_heads=2).sizes["num_heads"] == 2
    with pytest.raises(WeightsError, match=r"num_heads=8 contradicts the weights: .* 32 wide, which is 2 heads of 16"):
        vrestore.load_network(state, head_dim=16, num_heads=8)
    with pytest.raises(WeightsError, match=r"VEnhancer takes no keyword 'heads' \(allowed: head_dim, num_heads"):
        vrestore.load_network(state, heads=2)


def test_the_control_net_alone(network):
    alone = {name: v for name, v in network.state_dict().items() if name.startswith("VideoControlNet.")}
    loaded = vrestore.load_network(alone, head_dim=16)
    assert isinstance(loaded, VideoControlNet)
    assert same_weights(loaded, network.adapter)
    assert same_weights(vrestore.load_network(network.adapter.state_dict(), head_dim=16), network.adapter)


def test_the_unet_alone(network):
    alone = {name: v for name, v in network.state_dict().items() if not name.startswith("VideoControlNet.")}
    loaded = vrestore.load_network(alone, head_dim=16)
    assert loaded.adapter is None
    with torch.no_grad():
        assert torch.equal(loaded(*inputs()), network.denoise(*inputs()))


def test_another_adapter_is_named():
    @ADAPTERS.register_module()
    class Still(BaseAdapter):
        """An adapter that shapes say nothing of."""

        def __init__(self, embedding_dim):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(embedding_dim))

    try:
        state = tiny_unet(adapter={"type": "Still"}).state_dict()
        with pytest.raises(
            WeightsError, match=r"looks like VEnhancer, but does not fit: .*1 left over \(Still\.gain\)"
        ):
            vrestore.load_network(state, head_dim=16)
        assert torch.equal(
            vrestore.load_network(state, head_dim=16, adapter={"type": "Still"}).Still.gain, state["Still.gain"]
        )
    finally:
        ADAPTERS.module_dict.pop("Still")


def test_weights_that_are_missing(network):
    state = dict(network.state_dict())
    del state["VideoControlNet.zero_convs.1.0.bias"], state["out.2.bias"]
    with pytest.raises(
        WeightsError,
        match=r"looks like VEnhancer, but does not fit: .*2 missing \(.*out\.2\.bias.*\)",
    ):
        vrestore.load_network(state, head_dim=16)
    del state["middle_block.1.transformer_blocks.0.attn2.to_k.weight"]
    with pytest.raises(WeightsError, match="looks like VEnhancer, but does not fit"):
        vrestore.load_network(state, head_dim=16)
