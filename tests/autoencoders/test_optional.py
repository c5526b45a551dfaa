"""diffusers is optional: nothing imports it before a network of its classes is built."""

import subprocess
import sys

import pytest
import torch
from safetensors import safe_open

from vrestore.autoencoders import SDVAE
from vrestore.checkpoints import load_network
from vrestore.checkpoints.convert import convert_checkpoint
from vrestore.errors import MissingDependencyError, WeightsError


def test_importing_vrestore_does_not_import_diffusers():
    code = (
        "import sys, vrestore.autoencoders, vrestore.adapters, vrestore.checkpoints.families;"
        "sys.exit(bool({'diffusers', 'transformers'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_diffusers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDependencyError, match=r"SDVAE needs the package 'diffusers'.*vrestore\[diffusion\]"):
        SDVAE()
    # Weights that are something else altogether are still told apart.
    with pytest.raises(WeightsError, match="no known architecture"):
        load_network({"decoder.some.weight": torch.zeros(3)})


def test_a_vae_in_a_whole_checkpoint_is_converted(tmp_path):
    pytest.importorskip("diffusers")
    small = SDVAE(block_out_channels=(32, 32), layers_per_block=1)
    state = {f"first_stage_model.{name}": value for name, value in small.state_dict().items()}
    beside = {"model.diffusion_model.out.2.bias": torch.zeros(4), "betas": torch.zeros(9)}
    torch.save({"state_dict": {**state, **beside}}, tmp_path / "sd.ckpt")
    report = convert_checkpoint(tmp_path / "sd.ckpt", tmp_path / "vae.safetensors", dtype="fp16")
    assert (report.architecture, report.left_aside) == ("LDM VAE", 2)
    with safe_open(tmp_path / "vae.safetensors", "pt") as file:
        assert set(file.keys()) == set(small.state_dict())
    frames = torch.rand(1, 3, 8, 8)
    loaded = load_network(tmp_path / "vae.safetensors")
    torch.testing.assert_close(loaded.encode(frames), small.encode(frames), atol=2e-3, rtol=2e-2)
