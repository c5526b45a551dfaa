"""load_network: both official namings, sizes told by shapes, strictness, and what is said when weights do not fit."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import vrestore
from tests.checkpoints.parts import SMALL, SMALL_SPYNET, basicsr_names, same_weights, small_basicvsr
from tests.paths import SHARED_PARITY, needs_shared_parity
from vrestore.backbones import BasicVSR, SPyNet
from vrestore.checkpoints import Architecture, load_network, register_architecture
from vrestore.checkpoints.architectures import ARCHITECTURES, compare, identify
from vrestore.checkpoints.weightless import weightless
from vrestore.errors import RegistryError, WeightsError
from vrestore.registry import BACKBONES


@pytest.fixture
def network():
    return small_basicvsr()


def test_it_is_the_public_function():
    assert vrestore.load_network is load_network


@pytest.mark.parametrize(
    "release",
    [
        lambda s: s,
        basicsr_names,
        lambda s: {"params": basicsr_names(s)},
        lambda s: {"state_dict": {**{f"generator.{k}": v for k, v in s.items()}, "step_counter": torch.zeros(1)}},
        lambda s: {
            "state_dict": {
                **{f"generator.{k}": v * 0 for k, v in s.items()},
                **{f"generator_ema.{k}": v for k, v in s.items()},
                "discriminator.conv.weight": torch.zeros(3),
            }
        },
        lambda s: {"state_dict": {f"module.backbone.{k}": v for k, v in s.items()}},
        lambda s: {k: v for k, v in s.items() if k not in ("spynet.mean", "spynet.std")},
    ],
)
def test_releases_of_basicvsr(network, release):
    loaded = load_network(release(network.state_dict()))
    assert isinstance(loaded, BasicVSR)
    assert not loaded.training
    assert same_weights(loaded, network)


@pytest.mark.parametrize("rename", [lambda s: s, basicsr_names])
def test_spynet_alone(network, rename):
    state = network.spynet.state_dict()
    loaded = load_network(rename(state))
    assert isinstance(loaded, SPyNet)
    assert same_weights(loaded, network.spynet)


def test_spynet_without_its_constants(network):
    state = {k: v for k, v in network.spynet.state_dict().items() if k not in ("mean", "std")}
    assert same_weights(load_network(basicsr_names(state)), network.spynet)


def test_sizes_are_told_by_shapes(network):
    loaded = load_network(network.state_dict())
    assert loaded.mid_channels == 6
    assert len(loaded.backward_resblocks.main[2]) == 2
    assert loaded.conv_hr.weight.shape[0] == 5
    assert (loaded.spynet.num_levels, loaded.spynet.basic_module[0].basic_module[0].conv.weight.shape) == (
        3,
        (6, 8, 5, 5),
    )


def test_from_files(network, tmp_path):
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    torch.save({"params": basicsr_names(network.state_dict())}, tmp_path / "w.pth")
    left, right = load_network(tmp_path / "w.safetensors"), load_network(str(tmp_path / "w.pth"))
    clip = torch.rand(1, 3, 3, 12, 16)
    with torch.no_grad():
        assert torch.equal(left(clip), network(clip))
        assert torch.equal(right(clip), network(clip))


def test_half_precision_weights_load_into_single(network):
    half = {name: value.half() for name, value in network.state_dict().items()}
    loaded = load_network(half)
    assert loaded.fusion.weight.dtype == torch.float32
    assert torch.equal(loaded.fusion.weight, half["fusion.weight"].float())


def test_what_was_given_is_not_changed(network):
    state = network.state_dict()
    before = {name: value.clone() for name, value in state.items()}
    loaded = load_network(state)
    loaded.fusion.weight.data.zero_()
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_missing_left_over_and_reshaped_weights(network):
    state = dict(network.state_dict())
    del state["conv_last.bias"]
    state["surplus.weight"] = torch.zeros(1)
    state["conv_hr.bias"] = torch.zeros(99)
    with pytest.raises(WeightsError) as caught:
        load_network(state)
    message = str(caught.value)
    total = len(network.state_dict())
    assert message.startswith("the state dict looks like BasicVSR, but does not fit: ")
    assert f"{total - 2} of {total} names match" in message
    assert "1 missing (conv_last.bias)" in message
    assert "1 left over (surplus.weight)" in message
    assert "1 of another shape (conv_hr.bias: (99,) instead of (5,))" in message


def test_weights_that_lack_what_tells_the_sizes(network):
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("spynet.basic_module.0.")}
    with pytest.raises(
        WeightsError, match=r"looks like BasicVSR, but does not fit: \d+ of \d+ names match; .* missing"
    ):
        load_network(state)


def test_the_closest_architecture_is_named(network):
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("conv_hr")}
    with pytest.raises(
        WeightsError, match=r"belongs to no known architecture; closest is BasicVSR: \d+ of 316 names match"
    ):
        load_network(state)


def test_weights_of_something_else():
    with pytest.raises(WeightsError, match=r"shares no name with one \(known: .*BasicVSR.*\); .*encoder\.weight"):
        load_network({"encoder.weight": torch.zeros(3)})


def test_a_value_that_is_no_number(network):
    state = dict(network.state_dict())
    state["fusion.bias"] = torch.full((6,), float("nan"))
    with pytest.raises(WeightsError, match=r"holds a value in 'fusion\.bias' that is not a finite number"):
        load_network(state)


def test_keywords(network):
    state = network.state_dict()
    assert same_weights(load_network(state, mid_channels=6), network)
    with pytest.raises(WeightsError, match="mid_channels=64 contradicts the weights: their shapes say mid_channels=6"):
        load_network(state, mid_channels=64)
    with pytest.raises(WeightsError, match=r"BasicVSR takes no keyword 'blocks' \(allowed: spynet, cpu_cache_length"):
        load_network(state, blocks=3)


def test_a_keyword_tells_what_shapes_cannot(network):
    @BACKBONES.register_module()
    class StillFlow(torch.nn.Module):
        """A flow network of another form."""

        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(2))

        def forward(self, ref, supp):
            return self.shift.view(1, 2, 1, 1).expand(ref.shape[0], 2, *ref.shape[-2:])

    try:
        other = BACKBONES.build({**SMALL, "spynet": {"type": "StillFlow"}})
        with pytest.raises(WeightsError, match=r"left over \(spynet\.shift"):
            load_network(other.state_dict())
        assert same_weights(load_network(other.state_dict(), spynet={"type": "StillFlow"}), other)
    finally:
        BACKBONES.module_dict.pop("StillFlow")


@pytest.fixture
def toy():
    """An architecture and its backbone, as a plug-in would bring them."""

    @BACKBONES.register_module()
    class Toy(torch.nn.Module):
        def __init__(self, width, leak=0.1):
            super().__init__()
            self.layer = torch.nn.Linear(width, width)
            self.leak = leak

    architecture = Architecture(
        name="Toy",
        backbone="Toy",
        detect=lambda names: "layer.weight" in names,
        infer=lambda names: {"width": names["layer.weight"].shape[0]},
        rules=((r"^old_layer\.", "layer."),),
        keywords={"leak": 0.1},
    )
    register_architecture(architecture)
    yield architecture
    ARCHITECTURES.pop("Toy")
    BACKBONES.module_dict.pop("Toy")


def test_an_architecture_of_a_plugin(toy):
    state = {"old_layer.weight": torch.ones(3, 3), "old_layer.bias": torch.ones(3)}
    assert load_network(state).leak == 0.1
    assert load_network(state, leak=0.3).leak == 0.3
    assert load_network(state).layer.in_features == 3


def test_of_two_that_fit_the_better_is_taken(toy, network):
    both = Architecture("Toy wide", "Toy", toy.detect, lambda names: {"width": 7})
    register_architecture(both)
    try:
        state = {"layer.weight": torch.ones(7, 7), "layer.bias": torch.ones(7)}
        assert identify({**state, "layer.weight": torch.ones(3, 3), "layer.bias": torch.ones(3)})[0] is toy
        assert identify(state)[0] in (toy, both)
    finally:
        ARCHITECTURES.pop("Toy wide")


def test_a_taken_architecture_name(toy):
    register_architecture(toy)
    with pytest.raises(RegistryError, match=r"'Toy' is already registered by .*test_network\.py:\d+"):
        register_architecture(Architecture("Toy", "Toy", toy.detect, lambda names: {}))


def test_compare():
    result = compare({"a": torch.zeros(2), "b": torch.zeros(1)}, {"a": (2,), "b": (3,), "c": (1,)})
    assert (result.matching, result.missing, result.extra, len(result.reshaped)) == (1, ["c"], [], 1)
    assert result.share == pytest.approx(1 / 3)


@needs_shared_parity
@pytest.mark.parametrize(
    "variant", ["mmagic_basicvsr_c64b30", "basicsr_basicvsr_f64b30", "mmagic_spynet", "basicsr_spynet"]
)
def test_official_names_at_official_size(variant, parity_init):
    listed = json.loads((SHARED_PARITY / "baselines" / "keys" / f"{variant}.json").read_text())
    state = official_state(listed["keys"], parity_init)
    released = {f"generator.{name}": value for name, value in state.items()} if "mmagic_b" in variant else state
    container = "params" if listed["checkpoint_prefix"] == '["params"]' else "state_dict"
    loaded = load_network({container: {**released, "step_counter": torch.zeros(1)}})
    assert sum(p.numel() for p in loaded.parameters()) == listed["n_params"]
    assert sorted(v.flatten()[0].item() for v in loaded.state_dict().values()) == sorted(
        v.flatten()[0].item() for v in state.values()
    )


@needs_shared_parity
@pytest.mark.parametrize("golden", ["basicvsr/mmagic_c16b2_t4_40x56", "basicvsr/basicsr_f16b2", "spynet/basicsr_50x70"])
def test_outputs_are_those_of_the_official_code(golden, parity_init):
    """Weights under the official names, through load_network, give the official outputs."""
    folder = SHARED_PARITY / "baselines"
    goldens = {entry["name"]: entry for entry in json.loads((folder / "goldens.json").read_text())["goldens"]}
    entry = goldens[golden]
    example = {
        "basicvsr": {"type": "BasicVSR", "mid_channels": 16, "num_blocks": 2},
        "spynet": {"type": "SPyNet"},
    }[golden.partition("/")[0]]
    state = BACKBONES.build(example).state_dict()
    if "basicsr" in golden:
        state = basicsr_names(state)
    parity_init.init_state_dict(state, entry["init"]["gain"], entry["init"]["rules"], entry["init"]["prefix"])
    inputs = [torch.from_numpy(parity_init.tensor(i["name"], i["shape"])) for i in entry["inputs"]]
    with torch.no_grad():
        output = load_network(state)(*inputs)
    (key, told), stored = next(iter(entry["outputs"].items())), np.load(folder / entry["file"])
    sampled = output[..., ::2, ::2] if "::2" in told["stored"] else output
    assert np.abs(sampled.numpy() - stored[key]).max() <= told["atol"]
    assert output.mean().item() == pytest.approx(told["mean"], abs=told["atol"])


def official_state(keys, parity_init):
    state = {name: torch.zeros(shape) for name, shape in keys.items()}
    fresh = BACKBONES.build({"type": "SPyNet", "num_levels": 1})
    for name in state:
        if name.endswith(("mean", "std")):
            state[name].copy_(getattr(fresh, name.rpartition(".")[2]))
    parity_init.init_state_dict(state, rules=parity_init.RES)
    return state


@pytest.fixture
def parity_init(monkeypatch):
    monkeypatch.syspath_prepend(str(SHARED_PARITY / "baselines"))
    sys.modules.pop("parity_init", None)
    import parity_init as module

    yield module
    sys.modules.pop("parity_init", None)


def test_small_configs_match_what_is_inferred(network):
    told = ARCHITECTURES["BasicVSR"].infer(network.state_dict())
    assert {"type": "BasicVSR", **told} == SMALL
    assert told["spynet"] == SMALL_SPYNET


def test_building_without_weights_takes_no_memory_and_leaves_nothing_behind():
    with weightless():
        network = BACKBONES.build({"type": "BasicVSR"})
    assert {p.device.type for p in network.parameters()} == {"meta"}
    assert sum(p.numel() for p in network.parameters()) == 6_291_311
    filled = torch.nn.init.normal_(torch.zeros(100))
    assert filled.std() > 0.5
    assert torch.nn.Linear(3, 3).weight.device.type == "cpu"
