"""Every registry entry keeps its contract. A new entry is found by itself and needs a line in `tiny.py`."""

import copy
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

import vrestore.data
import vrestore.evaluation
import vrestore.losses  # noqa: F401
from tests.contract import tiny
from vrestore.registry import BACKBONES, DEGRADATIONS, LOSSES, METRICS, MODELS
from vrestore.restorers import Request


def own(registry) -> list[str]:
    """Names of the package's own entries (tests register some of theirs too)."""
    registry.import_from_location()
    return sorted(n for n, entry in registry.module_dict.items() if entry.__module__.startswith("vrestore."))


def test_every_entry_has_a_tiny_config():
    backbones = {**tiny.CLIP_BACKBONES, **tiny.FLOW_BACKBONES, **tiny.LATENT_BACKBONES}
    assert set(own(BACKBONES)) == set(backbones)
    assert set(own(MODELS)) == set(tiny.RESTORERS)
    assert set(own(LOSSES)) == {**tiny.LOSSES, **tiny.AUXILIARY_LOSSES}.keys()
    assert set(own(DEGRADATIONS)) == set(tiny.DEGRADATIONS)


@pytest.fixture(params=sorted(tiny.CLIP_BACKBONES))
def clip_backbone(request):
    return tiny.CLIP_BACKBONES[request.param]


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(("h", "w"), [(16, 16), (17, 23), (8, 40)])
@torch.no_grad()
def test_clip_backbone_takes_any_frames_and_odd_sizes(clip_backbone, frames, h, w):
    net = BACKBONES.build(clip_backbone).eval()
    lq = torch.rand(2, frames, 3, h, w)
    before = lq.clone()
    out = net(lq)
    assert out.shape == (2, frames, 3, h * net.scale, w * net.scale)
    assert out.isfinite().all()
    assert torch.equal(lq, before), "the caller's frames were changed"
    each = torch.cat([net(clip[None]) for clip in lq])
    torch.testing.assert_close(out, each, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_clip_backbone_in_bf16_stays_close(clip_backbone):
    net = BACKBONES.build(clip_backbone).eval()
    lq = torch.rand(1, 3, 3, 16, 20)
    exact = net(lq)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(lq)
    assert (half.float() - exact).abs().max() < 0.03


def test_clip_backbone_trains_every_parameter(clip_backbone):
    net = BACKBONES.build(clip_backbone)
    with torch.no_grad():  # layers that start at zero would hide the gradients of those below
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    net(torch.rand(1, 3, 3, 16, 16)).square().mean().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@pytest.mark.parametrize("registry_and_config", [
    *((BACKBONES, cfg) for cfg in {**tiny.CLIP_BACKBONES, **tiny.FLOW_BACKBONES, **tiny.LATENT_BACKBONES}.values()),
    *((MODELS, cfg) for cfg in tiny.RESTORERS.values()),
], ids=lambda pair: pair[1]["type"])  # fmt: skip
def test_config_and_state_round_trips(registry_and_config):
    registry, config = registry_and_config
    given = copy.deepcopy(config)
    first = registry.build(config)
    assert config == given, "building changed the caller's config"
    again = registry.build(Config.fromstring(Config({"model": config}).pretty_text, ".py").model)
    missing, unexpected = again.load_state_dict(first.state_dict(), strict=True)
    assert not missing
    assert not unexpected
    assert json.loads(json.dumps(config))["type"] == config["type"]


@pytest.mark.parametrize("name", sorted(tiny.RESTORERS))
class TestRestorer:
    def test_keeps_its_capabilities(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        caps = restorer.capabilities
        h, w = max(caps.least_size_px, 9), max(caps.least_size_px, 14)
        frames = torch.rand(max(caps.least_frames, 3), 3, h, w)
        before = frames.clone()
        for scale in caps.spatial_scales.fixed or (1, 1.5, 4):
            out = restorer.restore(frames, Request(scale=scale))
            assert out.shape == (len(frames), 3, round(h * scale), round(w * scale))
            assert out.dtype == torch.float32
            assert out.min() >= 0
            assert out.max() <= 1
        assert torch.equal(frames, before), "the caller's frames were changed"
        json.dumps(caps.as_dict())

    def test_serves_every_declared_precision(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        frames = torch.rand(2, 3, 16, 16)
        exact = restorer.restore(frames)
        for precision in restorer.capabilities.dtypes:
            if precision == "fp16" and not torch.cuda.is_available():
                continue  # half-precision convolutions on a CPU are a GPU's job
            out = restorer.restore(frames, Request(precision=precision))
            assert (out - exact).abs().max() < 0.03

    def test_is_repeatable(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        frames = torch.rand(2, 3, 16, 16)
        assert torch.equal(restorer.restore(frames, Request(seed=3)), restorer.restore(frames, Request(seed=3)))

    def test_hits_a_target_size(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        assert restorer.restore(torch.rand(2, 3, 16, 16), Request(size=(37, 50))).shape == (2, 3, 37, 50)

    def test_predict_mode_is_what_evaluators_take(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        batch = {"lq": torch.rand(2, 2, 3, 16, 16), "hq": torch.rand(2, 2, 3, 64, 64), "clip": ["a", "b"]}
        outputs = restorer(**batch, mode="predict")
        assert [o["clip"] for o in outputs] == ["a", "b"]
        assert all(o["pred"].shape == (2, 3, 64, 64) for o in outputs)


@pytest.mark.parametrize("name", sorted(tiny.LOSSES))
def test_pixel_loss_is_zero_on_equals_and_differentiable(name):
    loss = LOSSES.build(tiny.LOSSES[name])
    x = torch.rand(1, 2, 3, 4, 4, requires_grad=True)
    assert loss(x, x.detach()).item() == pytest.approx(0, abs=1e-5)
    far = loss(x, 1 - x.detach())
    far.backward()
    assert far > 0
    assert x.grad.abs().sum() > 0
    half = LOSSES.build({**tiny.LOSSES[name], "loss_weight": 0.5})
    assert half(x, 1 - x.detach()).item() == pytest.approx(far.item() / 2)


@pytest.mark.parametrize("name", sorted(tiny.DEGRADATIONS))
def test_degradation_is_seeded_recorded_and_pure(name):
    degrade = DEGRADATIONS.build(tiny.DEGRADATIONS[name])
    frames = torch.rand(3, 3, 24, 32)
    before = frames.clone()
    one, record = degrade(frames, np.random.default_rng(5))
    two, record_two = degrade(frames, np.random.default_rng(5))
    assert torch.equal(one, two)
    assert record == record_two == json.loads(json.dumps(record))
    assert record["name"] == name
    assert one.min() >= 0
    assert one.max() <= 1
    if not degrade.draws_size:
        assert one.shape == (3, 3, 24 / record["scale"], 32 / record["scale"])
        assert record["scale"] == degrade.scale
    assert torch.equal(frames, before), "the caller's frames were changed"


@pytest.mark.parametrize("name", own(METRICS))
def test_metric_states_its_protocol_and_prefers_the_better_clip(name):
    from vrestore.errors import NotMeasuredError

    metric = METRICS.build({"type": name})
    assert json.loads(json.dumps(metric.protocol)) == metric.protocol
    assert metric.protocol["metric"] == metric.metric
    rng = torch.Generator().manual_seed(0)
    clean = torch.nn.functional.interpolate(torch.rand(2, 3, 30, 40, generator=rng), size=(240, 320), mode="bicubic")
    clean = clean.clamp(0, 1)
    noisy = (clean + 0.2 * torch.randn(clean.shape, generator=rng)).clamp(0, 1)
    try:
        near = metric.score(clean, clean if metric.needs_reference else None)
        far = metric.score(noisy, clean if metric.needs_reference else None)
    except NotMeasuredError as reason:  # says what is missing; the number is never made up
        if "weights" not in str(reason):
            raise
        return
    assert len(near) == len(far) == 2
    if metric.needs_reference:
        assert all((n > f) == metric.higher_is_better for n, f in zip(near, far, strict=True))
    else:
        assert all(np.isfinite(near + far))
