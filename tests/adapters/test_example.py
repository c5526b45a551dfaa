"""The example adapter, from outside the package: attached by a config, trained, saved, loaded."""

import pytest
import torch

import vrestore
from tests.backbones.latents import TINY, conditions, inputs
from tests.checkpoints.parts import same_weights
from tests.paths import ROOT
from vrestore.config import load_config
from vrestore.registry import ADAPTERS, BACKBONES

EXAMPLE = ROOT / "examples" / "adapter" / "my_adapter.py"


@pytest.fixture(scope="module")
def unet(tmp_path_factory):
    config = tmp_path_factory.mktemp("adapter") / "config.py"
    config.write_text(
        f"custom_imports = dict(imports=[{str(EXAMPLE)!r}])\n"
        f"backbone = dict(type='UNet3D', adapter=dict(type='OneConvolution'), **{TINY!r})\n"
    )
    yield BACKBONES.build(load_config(config).backbone).eval()
    ADAPTERS.module_dict.pop("OneConvolution")


def test_it_starts_as_if_it_were_not_there_and_learns(unet):
    assert unet.adapter.to_skip.weight.shape == (32, 4, 3, 3)
    torch.nn.init.normal_(unet.out[2].weight, std=0.05)
    latents, timesteps, text = inputs()
    plain = unet.denoise(latents, timesteps, text)
    assert torch.equal(unet(latents, timesteps, text, **conditions()), plain)
    assert torch.equal(unet(latents, timesteps, text), plain)
    (unet(latents, timesteps, text, **conditions()) - latents).square().mean().backward()
    with torch.no_grad():
        for parameter in unet.adapter.parameters():
            assert parameter.grad.any()
            parameter -= parameter.grad
        assert not torch.equal(unet(latents, timesteps, text, **conditions()), plain)


def test_its_weights_load_when_it_is_named(unet):
    state = unet.state_dict()
    assert {name for name in state if name.startswith("OneConvolution.")} == {
        *("OneConvolution.to_skip.weight", "OneConvolution.to_skip.bias")
    }
    loaded = vrestore.load_network(state, head_dim=16, adapter={"type": "OneConvolution"})
    assert same_weights(loaded, unet)
