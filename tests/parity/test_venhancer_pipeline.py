"""VEnhancer's whole pipelines, both releases, against the stored outputs of the official code with reduced networks."""

from functools import cache

import pytest
import torch

from tests.parity import venhancer_references as ref
from vrestore.adapters import TextEncoder
from vrestore.checkpoints import load_network
from vrestore.registry import ADAPTERS
from vrestore.restorers import Request, VEnhancer
from vrestore.restorers.venhancer import Canvas, official, plan_official_frames

REDUCED_VAE = dict(block_out_channels=(32, 64, 64, 64), layers_per_block=1)
SEED = 666


@ADAPTERS.register_module(force=True)
class StoredText(TextEncoder):
    """The features of the reference, which were made without a text tower."""

    context_dim, length = 1024, 77

    def __init__(self, positive: str, negative: str):
        super().__init__(negative_prompt=negative)
        shape = (1, self.length, self.context_dim)
        self.features = {name: ref.make_input({"tensor": name, "shape": shape}) for name in (positive, negative)}

    def encode(self, texts, device=None):
        return torch.cat([self.features[text] for text in texts])


@cache
def weights_s4():
    listed = ref.read_json("reduced_keys.json")["S4"]
    return {name: ref.make_weight(name, shape, "S4/") for name, shape in listed["keys"].items()}


def restorer(entry, release, **settings) -> VEnhancer:
    inputs = entry["inputs"]
    kind = "SDVAE" if release == "v1" else "TemporalVAE"
    made = VEnhancer(
        backbone=dict(
            type="UNet3D",
            **dict(dim=32, num_heads=2, head_dim=16, num_res_blocks=1),
            adapter=dict(type="VideoControlNet"),
        ),
        autoencoder=dict(type=kind, **REDUCED_VAE),
        text=dict(type="StoredText", positive=inputs["y_pos"]["tensor"], negative=inputs["y_neg"]["tensor"]),
        prompt=inputs["y_pos"]["tensor"],
        release=release,
        noise_levels=inputs["total_noise_levels"],
        steps=inputs["steps"],
        spacing="trailing",
        guidance_scale=inputs["guide_scale"],
        **settings,
    ).eval()
    made.backbone = load_network(weights_s4(), head_dim=16)
    made.autoencoder = vae(entry["params"]["vae"]["fill_prefix"])
    return made


@cache
def vae(prefix):
    """A reduced VAE, loaded by its official names alone: LDM's in v1, diffusers' in v2."""
    names = next(
        entry["params"]["names"]
        for name, entry in ref.manifest().items()
        if name.startswith("f_vae") and entry["params"]["fill_prefix"] == prefix
    )
    return load_network({name: ref.make_weight(name, shape, prefix) for name, shape in names.items()})


def run(entry, release, canvas, downscale):
    """The pipeline, and what it hands to the sampler."""
    made, inputs, seen = restorer(entry, release), entry["inputs"], {}
    inner = made.denoise

    def watched(noised, conditions, *rest):
        seen.update(noised_lr=noised, hint=conditions["key_latents"])
        seen["latent"] = inner(noised, conditions, *rest)
        return seen["latent"]

    made.denoise = watched
    frames = (ref.make_input(inputs["video_data"]) + 1) / 2
    plan = plan_official_frames(len(frames), inputs["interp_f_num"] + 1)
    request = Request(seed=SEED, strength=inputs["noise_aug"], parity=True)
    with torch.no_grad():
        video = torch.cat(list(made.generate(frames, canvas, plan, downscale, request)))
    seen["video"] = (video * 2 - 1).transpose(0, 1)[None]
    return made, plan, seen


def test_pipeline_v1():
    pytest.importorskip("torchsde")
    pytest.importorskip("diffusers")
    entry = ref.manifest()["h_pipeline_v1"]
    size = official.target_size_v1(180, 14, entry["inputs"]["up_scale"])
    assert size == (720, 56)
    zoom = official.resolve_up_scale(180, entry["inputs"]["up_scale"])
    assert [int(zoom)] == entry["inputs"]["resolved_up_scale"]
    canvas = Canvas(*size, tuple(entry["padding"]), white=True, zoom=zoom)
    _, plan, seen = run(entry, "v1", canvas, int(zoom))
    assert (plan.key_frame_index < 0).int().tolist() == entry["inputs"]["mask_cond"]
    for key in ("noised_lr", "hint", "latent", "video"):
        ref.check(entry, key, seen[key])


def test_pipeline_v2():
    pytest.importorskip("torchsde")
    pytest.importorskip("diffusers")
    entry = ref.manifest()["h_pipeline_v2"]
    canvas = Canvas(*entry["inputs"]["target_res"], tuple(entry["padding"]), white=True)
    _, plan, seen = run(entry, "v2", canvas, entry["inputs"]["s_cond"])
    assert plan.key_frame_index.tolist() == entry["inputs"]["mask_cond"]
    for key in ("noised_lr", "latent", "video"):
        ref.check(entry, key, seen[key])


def tables(name):
    return ref.read_json("sizes.json")[name]


def test_borders_and_sizes():
    for case in tables("pad_to_fit"):
        left, right, top, bottom = official.pad_to_fit(case["h"], case["w"])
        assert [left, right, top, bottom] == case["pad_w1_w2_h1_h2"], case
    for case in tables("up_scale"):
        assert official.resolve_up_scale(case["h"], case["up_scale"]) == case["resolved"], case
        size = official.target_size_v1(case["h"], case["w"], case["up_scale"])
        assert size == (case["out_h"], case["out_w"]), case
        _, told = official.official_canvas("v1", case["h"], case["w"], case["up_scale"], None)
        assert told == case["network_up_scale"], case
    for case in tables("adjust_resolution_v2"):
        assert list(official.target_size_v2(case["h"], case["w"])) == case["target_h_w"], case


def test_frames():
    for case in tables("mask_cond_v1"):
        plan = plan_official_frames(case["frames_used"], case["interp_f_num"] + 1)
        assert plan.frames == len(plan.shown) == case["frames_out"], case
        assert (plan.key_frame_index < 0).int().tolist() == case["mask_cond"], case
    for case in tables("mask_cond_v2"):
        plan = plan_official_frames(case["in_f_num"], case["interp_f_num"] + 1)
        assert plan.key_frame_index.tolist() == case["mask_cond"], case
    for case in tables("interp_f_num"):
        if case["target_fps"] > 0:
            multiple = plan_official_frames(2, case["target_fps"] / case["input_fps"]).multiple
            assert multiple == case["interp_f_num"] + 1, case


def test_resizing_and_8_bit():
    entry = ref.manifest()["j_prepost"]
    stored, inputs = ref.arrays(entry), entry["inputs"]["resize_inputs"]
    for key, (zoom, size) in {
        "resize_x4": (4, None),
        "resize_x2.25": (2.25, None),
        "resize_x1.9565": (720 / 368, None),
        "resize_to_13x20": (None, (13, 20)),
    }.items():
        told = inputs[key.replace("_13x20", "")]
        shape = size or entry["outputs"][key]["shape"][-2:]
        canvas = Canvas(*shape, (0, 0, 0, 0), white=True, zoom=zoom)
        ref.check(entry, key, canvas.fill(ref.make_input(told)))
    video = (ref.make_input(entry["inputs"]["vid"])[0].transpose(0, 1) + 1) / 2
    saved = official.truncate_to_8bit(video).mul(255).round().permute(0, 2, 3, 1)
    assert saved.int().tolist() == stored["saved_uint8"].tolist()
    frames = torch.from_numpy(stored["frames_bgr"]).flip(-1).permute(0, 3, 1, 2) / 255
    ref.check(entry, "preprocess", frames * 2 - 1)
