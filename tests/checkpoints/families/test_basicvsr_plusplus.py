"""Weights of BasicVSR++: both namings, sizes told by shapes, wrong variants named."""

import json

import pytest
import torch

from tests.checkpoints.parts import SMALL_SPYNET, basicsr_names, same_weights, small_basicvsr
from tests.paths import SHARED_PARITY, needs_shared_parity
from vrestore import load_network
from vrestore.backbones import BasicVSR, BasicVSRPlusPlus
from vrestore.checkpoints.architectures import identify
from vrestore.errors import WeightsError

SIZES = [
    dict(mid_channels=8, num_blocks=1),
    dict(mid_channels=24, num_blocks=3, hr_channels=20, spynet=SMALL_SPYNET),
    dict(mid_channels=16, num_blocks=2, is_low_res_input=False),
]


def small(**arguments):
    torch.manual_seed(0)
    return BasicVSRPlusPlus(**{"mid_channels": 8, "num_blocks": 1, "spynet": SMALL_SPYNET, **arguments}).eval()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("naming", [dict, basicsr_names])
@pytest.mark.parametrize("prefix", ["", "generator.", "params_ema.", "module."])
def test_both_namings_and_every_size(sizes, naming, prefix):
    net = small(**sizes)
    weights = {f"{prefix}{name}": value for name, value in naming(net.state_dict()).items()}
    if prefix == "params_ema.":
        weights = {"params_ema": {name.removeprefix(prefix): value for name, value in weights.items()}}
    loaded = load_network(weights)
    assert isinstance(loaded, BasicVSRPlusPlus)
    assert loaded.is_low_res_input == sizes.get("is_low_res_input", True)
    assert same_weights(loaded, net)


def test_what_shapes_cannot_tell_is_a_keyword():
    weights = small().state_dict()
    net = load_network(weights, max_residue_magnitude=5, cpu_cache_length=7)
    assert net.cpu_cache_length == 7
    assert all(align.max_residue_magnitude == 5 for align in net.deform_align.values())
    assert all(align.max_residue_magnitude == 10 for align in load_network(weights).deform_align.values())
    with pytest.raises(WeightsError, match=r"is_low_res_input=False contradicts the weights.*is_low_res_input=True"):
        load_network(weights, is_low_res_input=False)


def test_constants_may_be_absent_and_nothing_else():
    net = small()
    weights = {name: value for name, value in net.state_dict().items() if name not in ("spynet.mean", "spynet.std")}
    assert same_weights(load_network(weights), net)
    del weights["deform_align.forward_2.conv_offset.6.bias"]
    with pytest.raises(
        WeightsError, match=r"looks like BasicVSR\+\+.*missing \(deform_align.forward_2.conv_offset.6.b"
    ):
        load_network(weights)


def test_basicvsr_is_not_taken_for_it():
    assert type(load_network(small_basicvsr().state_dict())) is BasicVSR
    assert identify(small().state_dict())[0].name == "BasicVSR++"


@needs_shared_parity
@pytest.mark.parametrize(
    "variant",
    [
        "mmagic_basicvsrpp_c64n7",
        "basicsr_basicvsrpp_c64n7",
        "mmagic_basicvsrpp_c128n25_vsr",
        "mmagic_basicvsrpp_c128n25_decompress",
    ],
)
def test_official_names_load_strictly(variant):
    """At official size, on the meta device: names and shapes only."""
    official = json.loads((SHARED_PARITY / "baselines" / "keys" / f"{variant}.json").read_text())
    weights = {name: torch.empty(shape, device="meta") for name, shape in official["keys"].items()}
    architecture, renamed = identify(weights)
    assert architecture.name == "BasicVSR++"
    arguments = architecture.arguments(renamed, {})
    assert {key: arguments[key] for key in official["args"]} == official["args"]
    with torch.device("meta"):
        network = architecture.build(arguments)
    assert {n: tuple(v.shape) for n, v in network.state_dict().items()} == {
        n: tuple(v.shape) for n, v in renamed.items()
    }
    assert sum(p.numel() for p in network.parameters()) == official["n_params"]
