"""LoRA: names stay, a fresh one changes nothing, merging changes nothing, and only it trains."""

import copy

import pytest
import torch
import torch.nn as nn

from tests.backbones.latents import conditions, inputs, tiny_unet
from vrestore.adapters import VideoControlNet
from vrestore.errors import ConfigError
from vrestore.layers.lora import add_lora, is_lora, lora_layers, lora_parameters, merge_lora, merged_state

TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out")  # linear layers and convolutions of width 1


@pytest.fixture
def unet():
    torch.manual_seed(0)
    unet = tiny_unet().eval()
    unet.attach(VideoControlNet.from_unet(unet))
    for parameter in unet.parameters():
        nn.init.normal_(parameter, std=0.05)
    return unet


def shaken(network):
    for parameter in lora_parameters(network):
        nn.init.normal_(parameter, std=0.1)
    return network


@torch.no_grad()
def run(network):
    return network(*inputs(), **conditions())


def test_a_fresh_lora_keeps_names_values_and_output(unet):
    before, output = unet.state_dict(), run(unet)
    names = add_lora(unet, rank=2, targets=TARGETS)
    after = unet.state_dict()
    assert {name for name in after if not is_lora(name)} == set(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert {f"{name}.{part}" for name in names for part in ("lora_down", "lora_up", "lora_alpha")} == (
        set(after) - set(before)
    )
    assert sorted(lora_layers(after)) == sorted(names)
    assert any(name.startswith("VideoControlNet.") for name in names)
    assert torch.equal(run(unet), output)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_keeps_the_output_bit_for_bit(unet, dtype):
    plain = set(unet.state_dict())
    first = run(unet.to(dtype))
    names = add_lora(unet, rank=3, alpha=1.5, targets=TARGETS)
    adapted = run(shaken(unet))
    assert not torch.equal(adapted, first)
    state = merged_state(unet.state_dict())
    other = copy.deepcopy(unet)
    assert merge_lora(unet) == len(names)
    assert torch.equal(run(unet), adapted)
    assert set(unet.state_dict()) == plain == set(state)
    assert all(torch.equal(state[name], value) for name, value in unet.state_dict().items())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(unet), run(other))
    assert not any("LoRA" in type(module).__name__ for module in unet.modules())


def test_gradients_reach_the_lora_alone(unet):
    unet.requires_grad_(False)
    add_lora(unet, rank=2)
    shaken(unet)
    unet(*inputs(), **conditions()).square().mean().backward()
    for name, parameter in unet.named_parameters():
        assert parameter.requires_grad == is_lora(name)
        assert (parameter.grad is not None) == is_lora(name)


def test_the_product_is_scaled_by_alpha_over_rank():
    layer = nn.Sequential(nn.Linear(6, 5))
    weight = layer[0].weight.detach().clone()
    add_lora(layer, rank=2, alpha=8, targets=["0"])
    nn.init.ones_(layer[0].lora_up)
    torch.testing.assert_close(layer[0].weight, weight + 4 * layer[0].lora_down.sum(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(rank=0), r"lora\.rank must be a whole number >= 1, got 0"),
        (dict(rank=2, alpha=0), r"lora\.alpha must be above 0"),
        (dict(rank=2, targets="to_q"), "must be a list of ends of layer names"),
        (dict(rank=2, targets=["to_p"]), "holds 'to_p', and no layer's name ends so in UNet3D"),
        (dict(rank=2, targets=["norm1"]), "a LayerNorm: LoRA adapts linear layers"),
        (dict(rank=2, targets=["input_hint_block"]), "a Conv2d: LoRA adapts linear layers"),
        (dict(rank=40), r"lora\.rank=40 is larger than .*to_q, a layer of 32 to 32"),
    ],
)
def test_what_cannot_be_adapted_says_so(unet, settings, message):
    with pytest.raises(ConfigError, match=message):
        add_lora(unet, **settings)
