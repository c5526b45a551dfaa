"""VEnhancer: what a request changes, long clips, odd sizes and rates, and what is refused."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.contract.tiny import RESTORERS
from tests.paths import ROOT
from vrestore.checkpoints.files import sha256_of
from vrestore.checkpoints.zoo import load_restorer
from vrestore.config import load_config
from vrestore.errors import ConfigError, RequestError, WeightsError
from vrestore.registry import BACKBONES, MODELS
from vrestore.restorers import Request, VEnhancer
from vrestore.restorers.venhancer import least_canvas, mirror_pad, plan_frames, plan_official_frames
from vrestore.restorers.venhancer.draws import ClipDraws

pytest.importorskip("torchsde")
TINY = RESTORERS["VEnhancer"]
TINY_CONFIG = str(ROOT / "configs/venhancer/venhancer_tiny.py")


def build(**changes) -> VEnhancer:
    """A tiny VEnhancer whose layers that start at zero have weights too."""
    made = MODELS.build({**TINY, **changes})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.backbone.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return made.eval()


def clip(frames=3, height=12, width=16):
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def tiny():
    return build()


@given(st.integers(1, 40), st.floats(1, 8))
@settings(deadline=None, max_examples=60)
def test_shown_frames_are_the_nearest_in_time(keys, factor):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan = plan_frames(keys, factor)
    assert len(plan.shown) == max(round(keys * factor), 1)
    assert abs(plan.multiple - factor) <= 0.5 + 1e-9
    times = torch.arange(len(plan.shown)) / factor
    nearest = (times * plan.multiple).clamp(max=plan.frames - 1)
    assert (plan.shown - nearest).abs().max() <= 0.5 + 1e-6
    assert plan.key_frame_index[:: plan.multiple].tolist() == list(range(keys))
    assert (plan.key_frame_index >= 0).sum() == keys


def test_a_whole_multiple_shows_every_frame_and_holds_the_last():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = plan_frames(3, 4.0)
    assert plan.shown.tolist() == [*range(9), 8, 8, 8]
    assert plan_official_frames(3, 4.0).shown.tolist() == list(range(9))


def test_a_fractional_rate_is_told():
    with pytest.warns(UserWarning, match="2.4 times the frame rate .* generated at 2 times"):
        plan_frames(5, 2.4)


def test_mirrored_borders():
    x = torch.rand(2, 3, 5, 6)
    torch.testing.assert_close(mirror_pad(x, (2, 3, 4, 1)), F.pad(x, (2, 3, 4, 1), mode="reflect"))
    wide = mirror_pad(x, (0, 0, 0, 20))[0, 0, :, 0]
    column = x[0, 0, :, 0].tolist()
    assert wide.tolist() == (column + column[-2:0:-1]) * 3 + column[:1]
    assert mirror_pad(x[..., :1, :1], (2, 2, 2, 2)).shape[-2:] == (5, 5)


def test_the_canvas_is_the_smallest_legal_one(tiny):
    canvas = least_canvas(31, 50, 2, tiny.backbone.least_legal_size)
    padded = canvas.fill(clip(1))
    assert padded.shape[-2:] == (32, 52)  # latents of 16 x 26: even, for a network that halves once
    resized = F.interpolate(clip(1), size=(31, 50), mode="bilinear", align_corners=False)
    torch.testing.assert_close(canvas.cut(padded), resized)


@pytest.mark.parametrize(
    ("request_", "shape"),
    [
        (Request(), (3, 3, 48, 64)),
        (Request(scale=1.5, steps=1), (3, 3, 18, 24)),
        (Request(scale=1, temporal_scale=2), (6, 3, 12, 16)),
        (Request(size=(25, 37), fps=20, source_fps=10), (6, 3, 25, 37)),
        (Request(scale=1, steps=3, sampler="heun"), (3, 3, 12, 16)),
        (Request(scale=1, steps=3, sampler="ddim", guidance_scale=2.0), (3, 3, 12, 16)),
    ],
)
def test_restores(tiny, request_, shape):
    out = tiny.restore(clip(), request_)
    assert out.shape == shape
    assert out.isfinite().all()
    assert out.std() > 0


@pytest.mark.parametrize("request_", [Request(steps=1), Request(temporal_scale=8), Request(strength=0)])
def test_one_frame_is_enough(tiny, request_):
    out = tiny.restore(clip(1), request_)
    assert out.shape == (round(request_.time_factor()), 3, 48, 64)
    assert out.isfinite().all()


def test_each_dial_changes_the_result(tiny):
    frames = clip()
    plain = tiny.restore(frames, Request(scale=1, seed=1))
    assert torch.equal(plain, tiny.restore(frames, Request(scale=1, seed=1)))
    for other in (dict(seed=2), dict(seed=1, strength=20), dict(seed=1, steps=3), dict(seed=1, sampler="ddim")):
        assert not torch.equal(plain, tiny.restore(frames, Request(scale=1, **other))), other


def test_strength_0_is_no_noise_except_in_parity(tiny):
    keys = torch.randn(1, 12, 3, 6, 8)
    draws = ClipDraws(0)
    assert tiny.augment(keys, 0, draws, parity=False) == (keys, 0)
    noisy, level = tiny.augment(keys, 0, draws, parity=True)
    assert level == -1
    torch.testing.assert_close(noisy, draws.key_frames(keys))
    noised, level = tiny.augment(keys, 200, draws, parity=False)
    assert level == 199
    torch.testing.assert_close(noised, tiny.schedule.diffuse(keys, 199, draws.key_frames(keys)))


def test_long_clips_go_in_windows_over_one_noise_field():
    made, seen = build(window_frames=6, overlap_frames=3), []
    inner = made.backbone.forward

    def watched(latents, *args, **conditions):
        index = conditions["key_frame_index"][0].tolist()
        seen.append(index)
        assert conditions["key_latents"].shape[2] == 7
        return inner(latents, *args, **conditions)

    made.backbone.forward = watched
    out = made.restore(clip(7), Request(scale=1, temporal_scale=2, steps=1))
    assert len(out) == 14
    assert seen[0] == [0, -1, 1, -1, 2]
    assert len(seen) > 1
    assert all(index[0] >= 0 for index in seen), "windows start at key frames"
    assert seen[-1][-1] == 6
    noise = ClipDraws(5).start(torch.zeros(1, 12, 9, 4, 4))
    torch.testing.assert_close(ClipDraws(5).start(torch.zeros(1, 12, 4, 4, 4)), noise[:, :, :4])


def test_tells_how_far_it_is(tiny):
    told = []
    tiny.on_progress = told.append
    tiny.restore(clip(2), Request(scale=1, steps=3))
    tiny.on_progress = None
    assert len(told) > 4
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1


def test_without_a_listener_the_log_tells_of_the_steps(tiny, caplog):
    with caplog.at_level("INFO", logger="vrestore"):
        tiny.restore(clip(2), Request(scale=1, steps=3))
    assert [m for m in caplog.messages if m.startswith("sampling step 3 of 3")]


def test_parity_has_the_sizes_and_the_8_bit_of_the_releases(tiny):
    sizes = {"v1": (1280, 2048), "v2": (1080, 1728)}
    for release, size in sizes.items():
        tiny.release = release
        assert tiny.output_size(Request(parity=True), 320, 512) == size
    with pytest.raises(RequestError, match="release v1 takes a scale, not a size"):
        build(release="v1").restore(clip(), Request(size=(24, 32), parity=True))
    # A border up to 720 x 1280 whatever the size: small latents and attention at half their size keep this quick.
    network = {**TINY["backbone"], "in_dim": 192, "out_dim": 192, "attn_scales": [0.5]}
    made = build(backbone=network, autoencoder=dict(type="WaveletAutoencoder", levels=3, scale_factor=0.125))
    out = made.restore(clip(1), Request(size=(24, 33), parity=True, steps=1))
    assert out.shape == (1, 3, 24, 33)
    torch.testing.assert_close(out * 255, (out * 255).round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (dict(scale=9), "scale=9 is not served; this model serves scale 1 to 8"),
        (dict(scale=0.5), "scale=0.5 is not served"),
        (dict(temporal_scale=9), "9 times the frame rate is not served; this model serves 1 to 8 times"),
        (dict(fps=5, source_fps=10), "0.5 times the frame rate is not served"),
        (dict(size=(200, 16)), r"size=\(200, 16\) is 16.7 x 1 times .* serves 1 to 8"),
        (dict(prompt=3), "prompt must be text, got int: 3"),
        (dict(strength=301), "strength must be a whole number from 0 to 300, got 301"),
    ],
)
def test_bad_requests(tiny, request_, message):
    with pytest.raises(RequestError, match=message):
        tiny.restore(clip(), Request(**request_))


def test_bad_frames(tiny):
    with pytest.raises(RequestError, match="frames are empty"):
        tiny.restore(torch.zeros(0, 3, 12, 16))
    with pytest.raises(RequestError, match=r"must lie in \[0, 1\]"):
        tiny.restore(clip() * 255)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(autoencoder=dict(type="IdentityAutoencoder")), "takes latents of 12 channels .* gives 3"),
        (dict(text=dict(type="EmptyText", context_dim=9)), "attends to 8 channels .* gives 9"),
        (dict(backbone={**TINY["backbone"], "adapter": None}), "needs a backbone with an adapter"),
        (dict(release="v3"), "release must be one of v1, v2"),
        (dict(noise_levels=1001), "from 1 to the schedule's 1000"),
        (dict(scale=9.0), "scale must lie from 1 to 8"),
        (dict(weights=dict(vae="x")), "has no part 'vae'"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(ConfigError, match=message):
        MODELS.build({**TINY, **changes})


def test_prompts(tiny):
    assert not tiny.capabilities.takes_prompt
    with pytest.warns(UserWarning, match="the prompt 'a reef' is ignored"):
        tiny.restore(clip(1), Request(scale=1, prompt="a reef", steps=1))
    backbone = {**TINY["backbone"], "context_dim": 1024}
    made = build(backbone=backbone, text=dict(type="OpenCLIPText"))
    assert made.capabilities.takes_prompt
    with pytest.raises(WeightsError, match=r"download .*open_clip_pytorch_model\.bin"):
        made.restore(clip(1), Request(prompt="a reef"))


def test_an_absent_text_tower_is_named_with_its_place(tmp_path):
    file = tmp_path / "tower.bin"
    config = {**TINY, "backbone": {**TINY["backbone"], "context_dim": 1024}, "text": dict(type="OpenCLIPText")}
    made = load_restorer({**config, "weights": dict(text=str(file))}, device="cpu")
    with pytest.raises(WeightsError, match=rf"put it at {file}"):
        made.restore(clip(1))


def test_weights_are_loaded_part_by_part(tmp_path, tiny):
    file = tmp_path / "network.safetensors"
    save_file(tiny.backbone.state_dict(), file)
    config = {**TINY, "untrained": False, "defer_weights": True, "weights": dict(backbone=str(file))}
    with pytest.raises(WeightsError, match="the backbone of VEnhancer has no weights yet"):
        MODELS.build(config).restore(clip())
    loaded = load_restorer(config, device="cpu")
    request = Request(scale=1, steps=1)
    assert torch.equal(loaded.restore(clip(2), request), tiny.restore(clip(2), request))
    half = load_restorer({**config, "dtype": "bf16"}, device="cpu")
    assert half.backbone.dtype == torch.bfloat16
    assert (half.restore(clip(2), request) - tiny.restore(clip(2), request)).abs().mean() < 0.02
    given = load_restorer({**config, "weights": None}, weights=file, device="cpu")
    assert torch.equal(given.restore(clip(2), request), tiny.restore(clip(2), request))


def test_the_tiny_config():
    restorer = load_restorer(TINY_CONFIG, device="cpu")
    assert sum(p.numel() for p in restorer.parameters()) == 3_687_320
    assert restorer.restore(clip(2), Request(scale=2, steps=1)).shape == (2, 3, 24, 32)


def test_the_full_config(tmp_path, monkeypatch):
    pytest.importorskip("diffusers")
    monkeypatch.setenv("VENHANCER_WEIGHTS", str(tmp_path))
    model = load_config(str(ROOT / "configs/venhancer/venhancer_full.py")).model
    with torch.device("meta"):
        backbone = BACKBONES.build(model.backbone)
    assert sum(p.numel() for p in backbone.parameters()) == 2_044_809_796
    model.autoencoder.update(block_out_channels=[32, 32, 32, 32], layers_per_block=1)
    monkeypatch.setattr("vrestore.checkpoints.zoo.fetch", offline)
    with pytest.raises(WeightsError, match=r"no network; or put it at .*venhancer_v2\.pt"):
        load_restorer(dict(model), device="cpu")


def offline(url, sha256=None):
    raise WeightsError(f"could not download {url}: no network")


def test_weights_come_from_a_file_or_an_address_with_their_sum_checked(tmp_path, tiny, monkeypatch):
    file = tmp_path / "network.safetensors"
    save_file(tiny.backbone.state_dict(), file)
    whole, asked = sha256_of(file), []

    def fetched(url, sha256=None):
        asked.append((url, sha256))
        return file

    monkeypatch.setattr("vrestore.checkpoints.zoo.fetch", fetched)
    config = {**TINY, "untrained": False}

    def load(**place):
        return load_restorer({**config, "weights": {"backbone": place}}, device="cpu")

    for place in (
        dict(file=str(file), url="http://a/b", sha256=whole),
        dict(file=str(tmp_path / "absent"), url="http://a/b", sha256=whole[:8]),
        dict(url="http://a/b"),
    ):
        loaded = load(**place).backbone.state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in tiny.backbone.state_dict().items())
    assert asked == [("http://a/b", whole[:8]), ("http://a/b", None)]
    with pytest.raises(WeightsError, match="damaged or another file"):
        load(file=str(file), sha256="0" * 64)
    with pytest.raises(WeightsError, match="absent do not exist"):
        load(file=str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="need file=… or url=…"):
        load(sha256=whole)


def test_an_absent_text_tower_is_no_reason_to_stop_before_a_prompt_needs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("vrestore.checkpoints.zoo.fetch", offline)
    config = {**TINY, "backbone": {**TINY["backbone"], "context_dim": 1024}, "text": dict(type="OpenCLIPText")}
    place = dict(file=str(tmp_path / "tower.bin"), url="http://a/tower.bin")
    made = load_restorer({**config, "weights": dict(text=place)}, device="cpu")
    with pytest.raises(WeightsError, match=r"download .* put it at .*tower\.bin"):
        made.restore(clip(1))


def test_a_benchmark_takes_the_tiny_config():
    from vrestore.evaluation.methods import Method

    config = dict(name="untrained", model=TINY_CONFIG, request=dict(steps=1))
    method = Method.from_config(config, "methods.0")
    loaded = method.load(torch.device("cpu"))
    assert loaded.identity["model"].endswith("VEnhancer")
    out = loaded.restore(clip(2), Request(scale=2, **method.request))
    assert out.shape == (2, 3, 24, 32)
