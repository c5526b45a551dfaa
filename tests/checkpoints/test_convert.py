"""Converting official files: what is written, what is left aside, what is refused."""

import argparse
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.backbones.latents import CONTROL, tiny_unet
from tests.checkpoints.parts import basicsr_names, same_weights, small_basicvsr
from tests.paths import ROOT
from vrestore.checkpoints import Architecture, load_network, register_architecture
from vrestore.checkpoints.architectures import ARCHITECTURES
from vrestore.checkpoints.convert import convert_checkpoint, main
from vrestore.checkpoints.files import sha256_of
from vrestore.errors import ConfigError, WeightsError


@pytest.fixture(scope="module")
def network():
    return tiny_unet(adapter=CONTROL)


@pytest.fixture
def official(network, tmp_path):
    """As a trainer left it: the weights, and plain records beside them."""
    file = tmp_path / "venhancer.pt"
    torch.save({"state_dict": network.state_dict(), "epoch": 3, "notes": ["a", 1.5]}, file)
    return file


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return opened.metadata()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint(network, tmp_path, legacy):
    source, target = tmp_path / "in.pt", tmp_path / "new" / "out.safetensors"
    torch.save({"state_dict": network.state_dict()}, source, _use_new_zipfile_serialization=not legacy)
    done = convert_checkpoint(source, target, head_dim=16)
    assert same_weights(load_network(target, head_dim=16), network)
    assert metadata(target) == {
        **{"format": "pt", "architecture": "VEnhancer", "dtype": "float32"},
        **{"source": "in.pt", "sha256": sha256_of(source)},
    }
    assert (done.architecture, done.tensors, done.left_aside) == ("VEnhancer", len(network.state_dict()), 0)
    assert done.parameters == sum(p.numel() for p in network.parameters())
    assert str(done).startswith(f"{target}: VEnhancer, {done.tensors} tensors, ")
    assert [f.name for f in target.parent.iterdir()] == ["out.safetensors"]


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_another_precision(network, official, tmp_path, dtype):
    target = tmp_path / "out.safetensors"
    assert convert_checkpoint(official, target, dtype=dtype, head_dim=16).dtype in ("float16", "bfloat16")
    own = network.state_dict()
    for name, value in load_file(target).items():
        assert torch.equal(value, own[name].to(value.dtype))
        assert value.dtype == {"fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    again = convert_checkpoint(target, tmp_path / "back.safetensors", dtype="fp32", head_dim=16)
    assert again.dtype == "float32"


def test_names_of_other_releases_become_ours(tmp_path):
    network = small_basicvsr()
    torch.save({"params": basicsr_names(network.state_dict())}, tmp_path / "in.pth")
    convert_checkpoint(tmp_path / "in.pth", tmp_path / "out.safetensors", origin="https://example.org/in.pth")
    assert load_file(tmp_path / "out.safetensors").keys() == network.state_dict().keys()
    assert metadata(tmp_path / "out.safetensors")["source"] == "https://example.org/in.pth"


def test_constants_may_be_absent(tmp_path):
    state = {k: v for k, v in small_basicvsr().state_dict().items() if k not in ("spynet.mean", "spynet.std")}
    save_file(state, tmp_path / "in.safetensors")
    assert convert_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors").tensors == len(state)


def test_weights_under_two_names_and_views(tmp_path):
    network = small_basicvsr()
    state = dict(network.state_dict())
    state["conv_hr.bias"] = torch.stack([state["conv_hr.bias"]] * 2, dim=1)[:, 0]
    state["upsample2.upsample_conv.weight"] = (
        state["upsample2.upsample_conv.weight"].transpose(2, 3).clone().transpose(2, 3)
    )
    state["backward_resblocks.main.2.0.conv1.bias"] = state["backward_resblocks.main.2.0.conv2.bias"]
    torch.save(state, tmp_path / "in.pth")
    convert_checkpoint(tmp_path / "in.pth", tmp_path / "out.safetensors")
    written = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(written[name], value) for name, value in state.items())


def test_other_networks_are_left_aside(network, tmp_path):
    register_architecture(
        Architecture(
            "Denoiser of a pair",
            "UNet3D",
            lambda names: "input_blocks.0.1.proj_in.weight" in names and "out.2.weight" in names,
            ARCHITECTURES["VEnhancer"].infer,
            rules=((r"^denoiser\.", ""),),
            others=r"^tower\.",
            keywords=ARCHITECTURES["VEnhancer"].keywords,
            complete=ARCHITECTURES["VEnhancer"].complete,
        )
    )
    try:
        pair = {**{f"denoiser.{k}": v for k, v in network.state_dict().items()}, "tower.weight": torch.zeros(3)}
        torch.save(pair, tmp_path / "pair.pt")
        done = convert_checkpoint(tmp_path / "pair.pt", tmp_path / "out.safetensors", head_dim=16)
        assert (done.architecture, done.left_aside) == ("Denoiser of a pair", 1)
        assert "1 tensors of other networks were left aside" in str(done)
        with pytest.raises(WeightsError, match=r"looks like VideoControlNet, but does not fit"):
            convert_checkpoint(tmp_path / "pair.pt", tmp_path / "no.safetensors", architecture="VideoControlNet")
        with pytest.raises(WeightsError, match=r"no architecture is called 'VAE'; there are: .*VEnhancer"):
            convert_checkpoint(tmp_path / "pair.pt", tmp_path / "no.safetensors", architecture="VAE")
    finally:
        ARCHITECTURES.pop("Denoiser of a pair")


class _Bomb:
    """Unpickling one runs code: it makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("how", ["torch", "pickle", "legacy"])
def test_pickles_that_hold_code_are_refused_and_not_run(network, tmp_path, how):
    content = {"state_dict": dict(network.state_dict()), "callback": _Bomb(tmp_path / "trace")}
    source = tmp_path / "in.ckpt"
    if how == "pickle":
        source.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(WeightsError, match=r"holds more than tensors and plain data|is damaged or no weight file"):
        convert_checkpoint(source, tmp_path / "out.safetensors", head_dim=16)
    assert not (tmp_path / "trace").exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_a_harmless_object_is_refused_too(network, tmp_path):
    options = argparse.Namespace(lr=1e-5)
    torch.save({"state_dict": network.state_dict(), "options": options}, tmp_path / "in.ckpt")
    with pytest.raises(WeightsError, match=r"holds more than tensors and plain data \(argparse\.Namespace\).*refused"):
        convert_checkpoint(tmp_path / "in.ckpt", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"encoder.weight": torch.zeros(3)}, "belongs to no known architecture"),
        (
            lambda s: {k: v for k, v in s.items() if k != "out.0.bias"},
            r"looks like VEnhancer, but.*1 missing \(out\.0\.bias\)",
        ),
        (lambda s: {**s, "out.0.bias": torch.full((32,), float("nan"))}, "'out.0.bias' that is not a finite number"),
    ],
)
def test_weights_that_do_not_fit_leave_nothing(network, tmp_path, change, message):
    save_file(change(network.state_dict()), tmp_path / "in.safetensors")
    with pytest.raises(WeightsError, match=message):
        convert_checkpoint(tmp_path / "in.safetensors", tmp_path / "out.safetensors", head_dim=16)
    assert [f.name for f in tmp_path.iterdir()] == ["in.safetensors"]


def test_targets_that_are_refused(official, tmp_path):
    target = tmp_path / "out.safetensors"
    with pytest.raises(WeightsError, match=r"must end in \.safetensors; got .*out\.pt"):
        convert_checkpoint(official, tmp_path / "out.pt", head_dim=16)
    target.write_text("mine")
    with pytest.raises(WeightsError, match="exists already; give another name, or overwrite it"):
        convert_checkpoint(official, target, head_dim=16)
    assert target.read_text() == "mine"
    convert_checkpoint(official, target, overwrite=True, head_dim=16)
    with pytest.raises(WeightsError, match="is the source itself"):
        convert_checkpoint(target, target, overwrite=True, head_dim=16)
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match=r"could not write .*file/out\.safetensors: .*nothing was left"):
        convert_checkpoint(official, tmp_path / "file" / "out.safetensors", head_dim=16)
    with pytest.raises(ConfigError, match="dtype must be one of"):
        convert_checkpoint(official, tmp_path / "b.safetensors", dtype="int4")
    with pytest.raises(WeightsError, match="do not exist"):
        convert_checkpoint(tmp_path / "nowhere.pt", tmp_path / "b.safetensors")


def test_the_command(official, tmp_path, capsys):
    target = tmp_path / "out.safetensors"
    arguments = [str(official), str(target), "--dtype", "bf16", "--set", "head_dim=16"]
    assert main(arguments) == 0
    assert f"{target}: VEnhancer, " in capsys.readouterr().out
    assert main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--origin", "elsewhere"]) == 0
    assert metadata(target)["source"] == "elsewhere"
    assert main([*arguments[:2], "--set", "head_dim"]) == 2
    assert "--set takes NAME=VALUE; got 'head_dim'" in capsys.readouterr().err


def test_the_tool_is_the_same_command(tmp_path):
    tool = [sys.executable, str(ROOT / "tools" / "convert_checkpoint.py"), str(tmp_path / "no.pt"), "x.safetensors"]
    done = subprocess.run(tool, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == f"convert_checkpoint: weights {tmp_path / 'no.pt'} do not exist"
