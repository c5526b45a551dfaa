"""The blocks and networks of VEnhancer against the stored outputs of the official code."""

from functools import cache

import pytest
import torch

from tests.parity import venhancer_references as ref
from vrestore.backbones import UNet3D
from vrestore.checkpoints import load_network
from vrestore.checkpoints.network import recognise
from vrestore.checkpoints.weightless import weightless
from vrestore.layers import unet3d as blocks

# The block of an entry, the keyword of ours for an argument of the release, and what the call takes beside x.
BLOCKS = {
    "MemoryEfficientCrossAttention": (blocks.CrossAttention, {"dim_head": "head_dim"}),
    "FeedForward": (blocks.FeedForward, {}),
    "BasicTransformerBlock": (blocks.BasicTransformerBlock, {"n_heads": "heads", "d_head": "head_dim"}),
    "SpatialTransformer": (
        blocks.SpatialTransformer,
        {"in_channels": "channels", "n_heads": "heads", "d_head": "head_dim"},
    ),
    "TemporalTransformer": (
        blocks.TemporalTransformer,
        {"in_channels": "channels", "n_heads": "heads", "d_head": "head_dim", "context_dim": None},
    ),
    "TemporalConvBlock_v2": (blocks.TemporalConvBlock, {"in_dim": "channels", "out_dim": None}),
    "ResBlock": (blocks.ResBlock, {"channels": "in_channels", "emb_channels": "embedding_dim"}),
    "Downsample": (blocks.Downsample, {"out_channels": None}),
    "Upsample": (blocks.Upsample, {"out_channels": None}),
}
# Arguments of the release that have one value in the whole manifest, and no effect or no counterpart here.
FIXED = {
    **{"depth": 1, "disable_self_attn": False, "multiply_zero": False, "use_image_dataset": False},
    **{"use_scale_shift_norm": False, "use_conv": True, "dims": 2, "glu": True},
}


@pytest.mark.parametrize("name", [n for n in ref.ids("a_") if n != "a_sinusoidal"])
@torch.no_grad()
def test_block(name):
    entry = ref.manifest()[name]
    block = ref.fill(build_block(entry), entry["params"]["fill_prefix"])
    assert ref.shapes(block) == entry["params"]["names"]
    inputs = {key: ref.make_input(spec) for key, spec in entry["inputs"].items()}
    x, rest = inputs.pop("x"), list(inputs.values())
    if isinstance(block, blocks.ResBlock):
        rest.append(2)  # samples; the entry's notes say so
    ref.check(entry, "y", block(x, *rest))
    ref.check(entry, "y_small", block(x * 0.003, *rest))


def build_block(entry):
    block, ours = BLOCKS[entry["target"].partition(":")[2]]
    arguments = {}
    for key, value in entry["ctor"].items():
        if key in FIXED:
            assert value == FIXED[key]
        elif key == "use_linear":  # spatial: linear layers, temporal: convolutions, always
            assert value is (block is blocks.SpatialTransformer)
        elif key == "dropout" and block not in (blocks.ResBlock, blocks.TemporalConvBlock):
            assert value == 0
        elif ours.get(key, key) is not None:
            arguments[ours.get(key, key)] = value
    return block(**arguments)


def test_sinusoidal_embedding():
    entry = ref.manifest()["a_sinusoidal"]
    inputs = {"int": "t_int", "float": "t_float", "negative": "negative"}
    for key in entry["outputs"]:
        kind, _, dim = key.partition("_dim")
        ref.check(entry, key, blocks.sinusoidal_embedding(ref.make_input(entry["inputs"][inputs[kind]]), int(dim)))


@cache
def network(config: str) -> UNet3D:
    """A reduced network, loaded by its official names alone (and `head_dim`, which shapes cannot tell)."""
    listed = ref.read_json("reduced_keys.json")[config]
    weights = {name: ref.make_weight(name, shape, f"{config}/") for name, shape in listed["keys"].items()}
    net = load_network(weights, head_dim=listed["ctor"]["head_dim"])
    assert sum(p.numel() for p in net.parameters()) == listed["params"]
    return net


@pytest.mark.parametrize("name", ref.ids("b_unet_"))
@torch.no_grad()
def test_unet(name):
    entry = ref.manifest()[name]
    x, y, t = (ref.make_input(entry["inputs"][key]) for key in ("x", "y", "t"))
    ref.check(entry, "out", network(entry["ctor"]["config"]).denoise(x, t, y))


@pytest.mark.filterwarnings("ignore:key_latents are left out")
@pytest.mark.parametrize("name", ref.ids("b_control_"))
@torch.no_grad()
def test_unet_with_control(name):
    entry = ref.manifest()[name]
    check_controlled(network(entry["ctor"]["config"]), entry)


def check_controlled(net, entry) -> dict[str, float]:
    """Hold the joint network and every output of its ControlNet to an entry. Returns the largest differences."""
    x, y, t = (ref.make_input(entry["inputs"][key]) for key in ("x", "y", "t"))
    conditions = conditions_of(entry)
    differences = {"out": ref.check(entry, "out", net(x, t, y, **conditions))}
    residuals = net.adapter(x, t, y, **conditions)
    for i, control in enumerate([*residuals.skips, residuals.middle]):
        differences[f"control{i:02}"] = ref.check(entry, f"control{i:02}", control)
    assert {key for key in entry["outputs"] if key.startswith("control")} <= differences.keys()
    return differences


def conditions_of(entry) -> dict[str, torch.Tensor | None]:
    inputs = {key: ref.make_input(spec) for key, spec in entry["inputs"].items()}
    return {
        "key_latents": inputs.get("hint"),
        "key_frame_index": key_frame_index(inputs.get("mask_cond")),
        "noise_level": inputs.get("t_hint"),
        "downscale": inputs.get("up_scale"),
    }


def key_frame_index(mask: torch.Tensor | None) -> torch.Tensor | None:
    """The release's first mask (0 at key frames, 1 elsewhere) as the index into the key frames, -1 elsewhere."""
    return None if mask is None else torch.where(mask == 0, (mask == 0).cumsum(1) - 1, -1)


@pytest.mark.parametrize(("dtype", "drift"), [("bf16", 0.05), ("fp16", 0.007)])
@pytest.mark.parametrize("name", ref.ids("b_control_f1", "b_control_b2"))
@torch.no_grad()
def test_half_precision_stays_close(name, dtype, drift):
    """The root mean square of the difference, as a share of the output's deviation."""
    entry = ref.manifest()[name]
    half = load_network(network(entry["ctor"]["config"]).state_dict(), dtype=dtype, head_dim=16)
    x, y, t = (ref.make_input(entry["inputs"][key]) for key in ("x", "y", "t"))
    out = half(x, t, y, **conditions_of(entry))
    want = torch.from_numpy(ref.arrays(entry)["out"]).view(out.shape)
    assert (out - want).square().mean().sqrt() < drift * want.std()


@pytest.mark.parametrize("name", [n for n in ref.ids("b_control_") if "v2_mask_cond" in ref.manifest()[n]["inputs"]])
def test_masks_mean_what_the_release_says(name):
    inputs = ref.manifest()[name]["inputs"]
    assert key_frame_index(torch.tensor(inputs["mask_cond"])).tolist() == inputs["v2_mask_cond"]


def test_official_names_and_shapes():
    listed = ref.read_json("keys_full.json")
    with weightless():
        net = UNet3D(adapter={"type": "VideoControlNet"})
    assert ref.shapes(net) == listed["keys"]
    assert sum(p.numel() for p in net.adapter.parameters()) == listed["params_controlnet"] == 633_575_936
    assert sum(p.numel() for p in net.parameters()) - 633_575_936 == listed["params_unet"] == 1_411_233_860
    assert not list(net.buffers())
    architecture, _, arguments = recognise(dict(net.state_dict()), "the official names", {})
    assert architecture.name == "VEnhancer"
    with weightless():
        told = architecture.build(arguments)
    assert told.sizes == told.adapter.sizes == net.sizes


@pytest.mark.slow
@pytest.mark.parametrize("name", ref.ids("c_full_"))
@torch.no_grad()
def test_full_size(name, full_size):
    entry = ref.manifest()[name]
    check_controlled(full_size, entry)
    x, y, t = (ref.make_input(entry["inputs"][key]) for key in ("x", "y", "t"))
    ref.check(entry, "out_unet_only", full_size.denoise(x, t, y))


@pytest.fixture(scope="module")
def full_size():
    with weightless():
        net = UNet3D(adapter={"type": "VideoControlNet"})
    return ref.fill(net.to_empty(device="cpu"))
