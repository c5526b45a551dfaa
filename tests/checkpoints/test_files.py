"""Weight files: every format and container that is served, and everything that is refused."""

import hashlib
import os
import pickle
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vrestore.checkpoints.files import check_sha256, flatten, load_state_dict, network_part, sha256_of
from vrestore.errors import WeightsError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.0, 2.0])}


def equal(state, expected=STATE):
    return state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in expected)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("it_ran",)


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_safetensors_whatever_the_name():
    save_file(STATE, "w.safetensors")
    os.link("w.safetensors", "w.pth")
    assert equal(load_state_dict("w.safetensors"))
    assert equal(load_state_dict("w.pth"))


@pytest.mark.parametrize("new", [True, False])
def test_pickled_tensors_of_both_formats(new):
    torch.save(OrderedDict(STATE), "w.pth", _use_new_zipfile_serialization=new)
    assert equal(load_state_dict("w.pth"))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "meta": {"epoch": 1}, "optimizer": {"state": {0: {"exp": torch.ones(1)}}}},
        lambda s: {"params": s},
        lambda s: {"params": {k: v + 1 for k, v in s.items()}, "params_ema": s},
        lambda s: {"model": {"state_dict": s}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}},
        lambda s: {**s, "step_counter": torch.zeros(1), "g.step_counter": torch.zeros(1)},
        lambda s: {"state_dict": s, "ema_state_dict": {f"module.{k}": v * 0 for k, v in s.items()}, "iter": 3},
        lambda s: {"state_dict": s, "best": np.float64(3), "n": np.int64(1), "log": np.zeros(3), "ok": np.bool_(True)},
    ],
)
def test_containers_and_wrappers(wrap):
    torch.save(wrap(STATE), "w.pth")
    assert equal(load_state_dict("w.pth"))


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({"generator.x": 1, "discriminator.x": 2, "perceptual_loss.vgg.x": 3}, {"x": 1}),
        ({"generator.x": 1, "generator_ema.x": 2, "discriminator.x": 3}, {"x": 2}),
        ({"backbone.x": 1, "backbone.y": 2}, {"x": 1, "y": 2}),
        ({"backbone.forward_1.x": 1, "spynet.y": 2}, {"backbone.forward_1.x": 1, "spynet.y": 2}),
        ({"x": 1}, {"x": 1}),
    ],
)
def test_network_part(names, kept):
    tensors = {name: torch.full((1,), float(value)) for name, value in names.items()}
    assert {name: int(value) for name, value in network_part(tensors).items()} == kept


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (RunsCode(), "posix.mkdir|nt.mkdir"),
        (Fraction(1, 2), "fractions.Fraction"),
        (torch.nn.Conv2d(1, 1, 1), "torch.nn.modules.conv.Conv2d"),
    ],
)
def test_anything_but_tensors_and_plain_data_is_refused(extra, named):
    torch.save({"state_dict": STATE, "extra": extra}, "w.pth")
    with pytest.raises(WeightsError, match=rf"w\.pth holds more than tensors and plain data \({named}\).*refused"):
        load_state_dict("w.pth")
    assert not os.path.exists("it_ran")


def test_a_bare_pickle_is_refused_without_running_it():
    with open("w.pkl", "wb") as file:
        pickle.dump({"state_dict": RunsCode()}, file)
    with pytest.raises(WeightsError, match="refused"):
        load_state_dict("w.pkl")
    assert not os.path.exists("it_ran")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "are an empty file"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, not weights"),
        (b"\n <HTML>", "is a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
        (b"hello world " * 50, "is damaged or no weight file"),
        (b"\x80\x02}q\x00.", "is damaged or no weight file"),
        (b"PK\x03\x04" + b"\0" * 100, "is damaged or no weight file"),
    ],
)
def test_files_that_are_no_weights(content, words):
    with open("w.pth", "wb") as file:
        file.write(content)
    with pytest.raises(WeightsError, match=words) as caught:
        load_state_dict("w.pth")
    assert "w.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.97])
def test_truncated_files(kind, part):
    state = {"w": torch.randn(500)}
    if kind == "safetensors":
        save_file(state, "w.pth")
    else:
        torch.save(state, "w.pth", _use_new_zipfile_serialization=kind == "zip")
    with open("w.pth", "rb+") as file:
        file.truncate(int(os.path.getsize("w.pth") * part))
    with pytest.raises(WeightsError, match=r"w\.pth"):
        load_state_dict("w.pth")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(content):
    with open("fuzz.pth", "wb") as file:
        file.write(content)
    with pytest.raises(WeightsError):
        load_state_dict("fuzz.pth")


def test_missing_and_folder(tmp_path):
    with pytest.raises(WeightsError, match="do not exist"):
        load_state_dict("gone.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        load_state_dict(tmp_path)


@pytest.mark.parametrize("content", [{"meta": {"a": 1}}, [torch.zeros(1)], torch.zeros(1), {}, None, {"a": 3}])
def test_no_weights_inside(content):
    with pytest.raises(WeightsError, match="holds no weights"):
        flatten(content)


def test_sha256():
    with open("f", "wb") as file:
        file.write(b"abc" * 1_000_000)
    right = hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert sha256_of("f") == right
    for expected in (None, right, right.upper(), right[:8]):
        check_sha256("f", expected)
    with pytest.raises(WeightsError, match=rf"its SHA-256 is {right[:8]}, it should be 01234567"):
        check_sha256("f", "01234567")
    for nonsense in ("abc", "x" * 64, "0" * 65):
        with pytest.raises(WeightsError, match="is no SHA-256"):
            check_sha256("f", nonsense)
