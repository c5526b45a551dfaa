"""RRDBNet and SRVGGNetCompact: recognised, with every size read from the weights."""

import logging

import pytest
import torch

from tests.checkpoints.parts import same_weights
from vrestore.checkpoints.network import load_network
from vrestore.errors import WeightsError
from vrestore.registry import BACKBONES


def build(**config):
    torch.manual_seed(3)
    return BACKBONES.build(config).eval()


@pytest.mark.parametrize("factor", [4, 2, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_rrdbnet(factor, channels):
    sizes = dict(mid_channels=6, num_blocks=2, growth_channels=5, upscale_factor=factor)
    network = build(type="RRDBNet", in_channels=channels, out_channels=channels, **sizes)
    loaded = load_network({"params_ema": network.state_dict()})
    assert same_weights(loaded, network)
    assert (loaded.scale, loaded.in_channels, loaded.size_multiple) == (factor, channels, {4: 1, 2: 2, 1: 4}[factor])


@pytest.mark.parametrize("wrapped", ["generator.", "generator_ema.", "module.", ""])
def test_under_the_prefixes_of_trainers(wrapped):
    network = build(type="RRDBNet", mid_channels=6, num_blocks=1, growth_channels=5)
    state = {f"{wrapped}{name}": value for name, value in network.state_dict().items()}
    if "generator" in wrapped:
        state["discriminator.conv.weight"] = torch.zeros(1)
    assert same_weights(load_network({"state_dict": state}), network)


@pytest.mark.parametrize("act_type", ["prelu", "relu", "leakyrelu"])
@pytest.mark.parametrize(("convs", "factor", "channels"), [(0, 2, 3), (1, 4, 3), (5, 3, 1)])
def test_srvgg(act_type, convs, factor, channels):
    sizes = dict(in_channels=channels, out_channels=channels, mid_channels=7, num_convs=convs, upscale_factor=factor)
    network = build(type="SRVGGNetCompact", act_type=act_type, **sizes)
    loaded = load_network({"params": network.state_dict()}, act_type=act_type)
    assert same_weights(loaded, network)
    x = torch.rand(1, channels, 9, 6)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))


def test_slopes_tell_prelu_and_nothing_tells_the_others(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vrestore"), "propagate", True)
    sizes = dict(type="SRVGGNetCompact", mid_channels=7, num_convs=2)
    with pytest.raises(WeightsError, match=r"act_type=.relu. contradicts the weights: .* act_type=.prelu."):
        load_network(build(**sizes).state_dict(), act_type="relu")
    assert not caplog.records
    load_network(build(**sizes, act_type="leakyrelu").state_dict())
    assert "taken for relu; act_type='leakyrelu' is the other" in caplog.text


def test_a_relative_is_not_taken_for_it():
    state = dict(build(type="RRDBNet", mid_channels=6, num_blocks=2, growth_channels=5).state_dict())
    state["body.1.rdb2.conv1x1.weight"] = torch.zeros(5, 6, 1, 1)  # of ESRGAN+
    with pytest.raises(WeightsError, match=r"looks like RRDBNet, but does not fit: .*1 left over \(body\.1\.rdb2"):
        load_network(state)
    state = dict(build(type="SRVGGNetCompact", mid_channels=7, num_convs=2).state_dict())
    del state["body.6.bias"]
    with pytest.raises(WeightsError, match=r"looks like SRVGGNetCompact, but does not fit: .*1 missing"):
        load_network(state)
