"""Loading in a precision, without memory for more than one copy of the weights."""

import gc
import json
import math
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.backbones.latents import CONTROL, TINY, conditions, inputs, tiny_unet
from tests.checkpoints.parts import same_weights, small_basicvsr
from vrestore.adapters import VideoControlNet
from vrestore.backbones import UNet3D
from vrestore.checkpoints import Architecture, load_network, materialise, register_architecture
from vrestore.checkpoints.architectures import ARCHITECTURES
from vrestore.checkpoints.network import fill_from_file
from vrestore.checkpoints.weightless import weightless
from vrestore.errors import ConfigError, WeightsError
from vrestore.registry import BACKBONES


@pytest.fixture(scope="module")
def network():
    return tiny_unet(adapter=CONTROL)


def write(state, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=path.suffix == ".pt")
    return path


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("dtype", [None, "fp32", "fp16", "bf16", "bfloat16", torch.float64])
def test_any_precision_into_any(network, tmp_path, stored, dtype):
    state = {name: value.to(stored) for name, value in network.state_dict().items()}
    loaded = load_network(write(state, tmp_path / "w.safetensors"), dtype=dtype, head_dim=16)
    wanted = {None: torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "bfloat16": torch.bfloat16}.get(dtype)
    wanted = wanted or (torch.float64 if dtype is torch.float64 else torch.float32)
    assert {value.dtype for value in loaded.state_dict().values()} == {wanted}
    assert all(torch.equal(value, state[name].to(wanted)) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.legacy"])
def test_files_are_read_in_groups(network, tmp_path, monkeypatch, name):
    monkeypatch.setattr(materialise, "GROUP_BYTES", 2_000_000)
    file = write(network.state_dict(), tmp_path / name)
    loaded = load_network(file, head_dim=16)
    file.write_bytes(b"\0" * file.stat().st_size)  # nothing of the network lies in the file any more
    assert same_weights(loaded, network)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs(), **conditions()), network(*inputs(), **conditions()))


def test_what_was_given_is_not_shared(network):
    state = network.state_dict()
    loaded = load_network(state, head_dim=16)
    shared = {value.data_ptr() for value in state.values()} & {v.data_ptr() for v in loaded.state_dict().values()}
    assert not shared
    assert all(p.requires_grad and not p.is_meta for p in loaded.parameters())


def test_networks_with_constants_of_their_own():
    network = small_basicvsr()
    state = {k: v for k, v in network.state_dict().items() if k not in ("spynet.mean", "spynet.std")}
    loaded = load_network(state, dtype="bf16")
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.bfloat16}
    assert torch.equal(loaded.spynet.mean, network.spynet.mean.bfloat16())


def test_no_precision():
    with pytest.raises(
        ConfigError, match="dtype must be one of fp32, fp16, bf16, fp64 or a floating torch dtype; got 'int8'"
    ):
        load_network({}, dtype="int8")
    with pytest.raises(ConfigError, match="got 'half a one'"):
        load_network({}, dtype="half a one")


def test_a_value_that_is_no_number(network):
    state = {**network.state_dict(), "out.2.bias": torch.full((4,), float("inf"))}
    with pytest.raises(
        WeightsError, match=r"looks like VEnhancer, but holds a value in 'out\.2\.bias' that is not a finite"
    ):
        load_network(state, head_dim=16)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("release", [lambda s: s, lambda s: {f"module.{k}": v for k, v in s.items()}])
def test_a_network_that_was_built_is_filled(network, tmp_path, monkeypatch, memory, release):
    monkeypatch.setattr(materialise, "GROUP_BYTES", 4_000_000)
    config = {"type": "UNet3D", **TINY, "adapter": CONTROL}
    with nullcontext() if memory else weightless():
        built = BACKBONES.build(config)
    file = write(release(network.state_dict()), tmp_path / "w.pt")
    fill_from_file(built, file, dtype=torch.float16)
    file.unlink()
    own = network.state_dict()
    assert all(torch.equal(value, own[name].half()) for name, value in built.state_dict().items())
    control = VideoControlNet.from_unet(built).float()
    fill_from_file(control, write({f"VideoControlNet.{k}": v for k, v in network.adapter.state_dict().items()}, file))
    assert same_weights(control, network.adapter)
    with pytest.raises(WeightsError, match=r"w\.pt for UNet3D does not fit: .* missing"):
        fill_from_file(built, file)


class _Holder(torch.nn.Module):
    def __init__(self, width=4, buffer=False, attribute=False, tied=False, stubborn=False):
        super().__init__()
        self.holder_layer = torch.nn.Linear(width, width)
        if buffer:
            self.register_buffer("window", torch.hann_window(4), persistent=False)
        if attribute:
            self.grid = torch.arange(4)
        if tied:
            self.again = self.holder_layer
        if stubborn:
            self.number = torch.ones(1).item()


@pytest.fixture
def holder():
    BACKBONES.register_module("Holder", module=_Holder)
    register_architecture(
        Architecture(
            "Holder",
            "Holder",
            lambda names: "holder_layer.weight" in names,
            lambda names: {"width": names["holder_layer.weight"].shape[0]},
            keywords={"buffer": False, "attribute": False, "tied": False, "stubborn": False},
        )
    )
    yield
    ARCHITECTURES.pop("Holder")
    BACKBONES.module_dict.pop("Holder")


@pytest.mark.parametrize("what", ["buffer", "attribute", "tied", "stubborn"])
def test_what_weights_do_not_fill_is_built_with_memory(holder, what):
    loaded = load_network(_Holder(**{what: True}).state_dict(), **{what: True})
    tensors = [*loaded.state_dict().values(), *(v for v in vars(loaded).values() if isinstance(v, torch.Tensor))]
    assert not any(tensor.is_meta for tensor in tensors)
    if what == "buffer":
        assert torch.equal(loaded.window, torch.hann_window(4))
    if what == "tied":
        assert loaded.again is loaded.holder_layer


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_memory_holds_the_weights_once(holder, tmp_path, monkeypatch, name):
    """96 MB in fp32, loaded as bf16: 48 MB, and no more than a group of the file beside."""
    monkeypatch.setattr(materialise, "GROUP_BYTES", 8 << 20)
    BACKBONES.register_module("Wide", module=_Wide)
    register_architecture(Architecture("Wide", "Wide", lambda n: "wide.0.weight" in n, lambda n: {"layers": len(n)}))
    try:
        write({f"wide.{i}.weight": torch.randn(1024, 1024) for i in range(24)}, tmp_path / name)
        gc.collect()
        before = _peak_mb(reset=True)
        network = load_network(tmp_path / name, dtype="bf16")
        grown = _peak_mb() - before
    finally:
        ARCHITECTURES.pop("Wide")
        BACKBONES.module_dict.pop("Wide")
    assert sum(p.nbytes for p in network.parameters()) == 48 << 20
    assert grown < 48 + 30


class _Wide(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.wide = torch.nn.ModuleList(torch.nn.Linear(1024, 1024, bias=False) for _ in range(layers))


def _peak_mb(reset: bool = False) -> float:
    """The most memory of this process since the last reset, pages of mapped files included."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        pytest.skip("this system does not tell a process's peak memory")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.slow
@pytest.mark.parametrize(("stored", "dtype"), [("F16", "fp16"), ("F32", "bf16")])
def test_the_full_size_takes_one_copy(tmp_path, stored, dtype):
    """2.04 G parameters in half precision: 3.81 GiB, whatever the file holds."""
    with weightless():
        net = UNet3D(adapter=CONTROL)
    file = zeros(tmp_path / "w.safetensors", {name: tuple(v.shape) for name, v in net.state_dict().items()}, stored)
    gc.collect()
    before = _peak_mb(reset=True)
    loaded = load_network(file, dtype=dtype)
    grown = _peak_mb() - before
    assert sum(p.nbytes for p in loaded.parameters()) == 2 * 2_044_809_796
    assert grown < 2 * 2_044_809_796 / 2**20 + 600


def zeros(file: Path, shapes: dict[str, tuple[int, ...]], stored: str) -> Path:
    """A safetensors file of zeros that takes no room on the disk: a header, then a hole."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = {"F16": 2, "F32": 4}[stored] * math.prod(shape)
        header[name] = {"dtype": stored, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(file, "wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + end)
    return file
