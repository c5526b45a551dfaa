import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from vrestore.engine.checkpoint import save_checkpoint
from vrestore.engine.export import export_weights, sha256_of_tensors
from vrestore.errors import ConfigError, WeightsError

MODEL = {"type": "RegressionRestorer", "backbone": {"type": "Net", "channels": 4}}
STATE = {"backbone.b": torch.tensor([1.5, -2.0]), "backbone.a": torch.arange(6).reshape(2, 3), "loss.w": torch.ones(1)}


@pytest.fixture
def checkpoint(tmp_path):
    meta = {"iter": 7, "config_name": "net_x4", "model": MODEL, "vrestore_version": "0.1.0"}
    return save_checkpoint({"state_dict": STATE, "meta": meta}, tmp_path / "iter_7.pth")


def test_backbone_alone_with_its_own_names_and_origin(checkpoint, tmp_path):
    out = export_weights(checkpoint, tmp_path / "net.safetensors")
    tensors = load_file(out)
    assert {name: t.tolist() for name, t in tensors.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "b": [1.5, -2.0]}
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata.pop("architecture")) == {"type": "Net", "channels": 4}
    assert json.loads(metadata.pop("model")) == MODEL
    assert metadata == {
        "format": "pt",
        "config": "net_x4",
        "iterations": "7",
        "sha256": sha256_of_tensors(tensors),
        "vrestore_version": "0.1.0",
    }


def test_equal_weights_make_equal_files(checkpoint, tmp_path):
    files = {export_weights(checkpoint, tmp_path / f"{i}.safetensors").read_bytes() for i in range(5)}
    assert len(files) == 1


def test_everything_and_half_precision(checkpoint, tmp_path):
    everything = load_file(export_weights(checkpoint, tmp_path / "all.safetensors", prefix=""))
    assert sorted(everything) == ["backbone.a", "backbone.b", "loss.w"]
    half = load_file(export_weights(checkpoint, tmp_path / "half.safetensors", dtype="bf16"))
    assert (half["b"].dtype, half["a"].dtype) == (torch.bfloat16, torch.int64)
    with pytest.raises(ConfigError, match="dtype must be None, fp16 or bf16, got 'int8'"):
        export_weights(checkpoint, tmp_path / "x.safetensors", dtype="int8")
    with pytest.raises(WeightsError, match=r"has no weights under 'generator\.'"):
        export_weights(checkpoint, tmp_path / "x.safetensors", prefix="generator.")
    assert not (tmp_path / "x.safetensors").exists()


def test_hash_tells_names_types_shapes_and_values_apart():
    a = torch.arange(4.0)
    variants = [{"a": a}, {"b": a}, {"a": a.double()}, {"a": a.reshape(2, 2)}, {"a": a + 1}]
    assert len({sha256_of_tensors(v) for v in variants}) == len(variants)
    assert sha256_of_tensors({"a": a, "b": a}) == sha256_of_tensors({"b": a, "a": a.clone()})
