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
from vrestore.errors import MissingDependencyError, RequestError
from vrestore.registry import BACKBONES, DEGRADATIONS, LOSSES, METRICS, MODELS
from vrestore.restorers import Request


def own(registry) -> list[str]:
    """Names of the package's own entries (tests register some of theirs too)."""
    registry.import_from_location()
    return sorted(n for n, entry in registry.module_dict.items() if entry.__module__.startswith("vrestore."))


def built(registry, config):
    """Build an entry; one whose optional package is absent is not tested here."""
    try:
        return registry.build(config)
    except MissingDependencyError as reason:
        pytest.skip(str(reason))


def test_every_entry_has_a_tiny_config():
    assert set(own(BACKBONES)) == set(tiny.BACKBONES)
    assert set(own(MODELS)) == set(tiny.RESTORERS)
    assert set(own(LOSSES)) == {**tiny.LOSSES, **tiny.AUXILIARY_LOSSES, **tiny.ADVERSARIAL_LOSSES}.keys()
    assert set(own(DEGRADATIONS)) == set(tiny.DEGRADATIONS)


@pytest.fixture(params=sorted(tiny.CLIP_BACKBONES))
def clip_backbone(request):
    return tiny.CLIP_BACKBONES[request.param]


def legal_clips(net, clips, frames, h, w):
    """Random clips whose frames and sides are rounded up to what the network declares."""
    of_frames, of_size = getattr(net, "frames_multiple", 1), getattr(net, "size_multiple", 1)
    frames, h, w = frames + -frames % of_frames, h + -h % of_size, w + -w % of_size
    return torch.rand(clips, frames, 3, h, w)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(("h", "w"), [(16, 16), (17, 23), (8, 40)])
@torch.no_grad()
def test_clip_backbone_takes_any_frames_and_odd_sizes(clip_backbone, frames, h, w):
    net = BACKBONES.build(clip_backbone).eval()
    lq = legal_clips(net, 2, frames, h, w)
    frames, h, w = lq.shape[1], *lq.shape[-2:]
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
    lq = legal_clips(net, 1, 3, 16, 20)
    exact = net(lq)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(lq)
    assert (half.float() - exact).abs().max() < 0.03


@torch.no_grad()
def test_clip_backbone_refuses_what_it_does_not_declare(clip_backbone):
    net = BACKBONES.build(clip_backbone)
    good = legal_clips(net, 1, 2, 16, 16)
    if getattr(net, "size_multiple", 1) > 1:
        with pytest.raises(RequestError, match=rf"17x16 .* multiples of {net.size_multiple}"):
            net(good[..., :1].expand(-1, -1, -1, -1, 17))
    if getattr(net, "frames_multiple", 1) > 1:
        with pytest.raises(RequestError, match=rf"1 frame.* multiple of {net.frames_multiple}"):
            net(good[:, :1])


def test_clip_backbone_trains_every_parameter(clip_backbone):
    net = BACKBONES.build(clip_backbone)
    check_every_parameter_trains(net, legal_clips(net, 1, 3, 16, 16))


def stirred(net):
    """A network whose layers that start at zero no longer hide the gradients of those below."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return net


def without_gradient(net) -> list[str]:
    """Names of the parameters that are to be trained and got no gradient."""
    trained = ((name, p.grad) for name, p in net.named_parameters() if p.requires_grad)
    return [name for name, grad in trained if grad is None or not grad.abs().sum() > 0]


@pytest.fixture(params=sorted(tiny.PAIR_BACKBONES))
def pair_backbone(request):
    return tiny.PAIR_BACKBONES[request.param]


@torch.no_grad()
def test_pair_backbone_takes_any_batch_and_time(pair_backbone):
    net = BACKBONES.build(pair_backbone).eval()
    side = net.least_multiple
    img0, img1 = torch.rand(2, 3, side, 2 * side), torch.rand(2, 3, side, 2 * side)
    before = img0.clone(), img1.clone()
    times = torch.tensor([0.25, 0.75])
    out = net(img0, img1, times)
    assert out.shape == img0.shape
    assert out.isfinite().all()
    assert torch.equal(img0, before[0]), "the caller's frames were changed"
    assert torch.equal(img1, before[1]), "the caller's frames were changed"
    assert torch.equal(net(img0, img1, times.view(2, 1, 1, 1)), out)
    each = torch.cat([net(img0[i : i + 1], img1[i : i + 1], times[i].item()) for i in range(2)])
    torch.testing.assert_close(out, each, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(net(img0, img1, 0.25), net(img0, img1, 0.75), atol=1e-5)


@torch.no_grad()
def test_pair_backbone_refuses_what_it_cannot_take(pair_backbone):
    net = BACKBONES.build(pair_backbone)
    side = net.least_multiple
    good = torch.rand(2, 3, side, side)
    with pytest.raises(ValueError, match=rf"multiples of {side}, got {side + 1}x{side}"):
        net(torch.rand(1, 3, side + 1, side), torch.rand(1, 3, side + 1, side))
    with pytest.raises(ValueError, match="two frames of one shape"):
        net(good, good[:1])
    with pytest.raises(ValueError, match=r"timestep must lie from 0 .* got 1\.5"):
        net(good, good, 1.5)
    with pytest.raises(ValueError, match=r"N=2 pairs of frames, got \(3,\)"):
        net(good, good, torch.rand(3))


@torch.no_grad()
def test_pair_backbone_in_bf16_stays_close(pair_backbone):
    net = BACKBONES.build(pair_backbone).eval()
    side = net.least_multiple
    img0, img1 = (torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), size=(side, side)) for _ in range(2))
    exact = net(img0, img1)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(img0, img1)
    assert (half.float() - exact).abs().max() < 0.05


def test_pair_backbone_trains_every_parameter(pair_backbone):
    net = stirred(BACKBONES.build(pair_backbone))
    side = net.least_multiple
    net(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side), 0.4).square().mean().backward()
    assert not without_gradient(net)


@pytest.fixture(params=sorted(tiny.SPACETIME_BACKBONES))
def spacetime(request):
    """A network that makes larger frames and more of them, and a call of it that gives three frames of two."""
    net = BACKBONES.build(tiny.SPACETIME_BACKBONES[request.param])
    if getattr(net, "any_time", False):
        return net, lambda lq: net(lq, (0, 0.5, 1), (4 * lq.shape[-2], 4 * lq.shape[-1]))
    return net, net


@pytest.mark.parametrize(("h", "w"), [(8, 8), (12, 20)])
@torch.no_grad()
def test_spacetime_backbone_makes_frames_between(spacetime, h, w):
    net, call = spacetime
    net.eval()
    lq = torch.rand(2, 2, 3, h, w)
    before = lq.clone()
    out = call(lq)
    assert out.shape == (2, 3, 3, 4 * h, 4 * w)
    assert out.isfinite().all()
    assert torch.equal(lq, before), "the caller's frames were changed"
    torch.testing.assert_close(out, torch.cat([call(clip[None]) for clip in lq]), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"multiples of 4, got 9x8; pad them"):
        call(torch.rand(1, 2, 3, 9, 8))


@torch.no_grad()
def test_spacetime_backbone_in_bf16_stays_close(spacetime):
    net, call = spacetime
    net.eval()
    lq = torch.rand(1, 2, 3, 12, 16)
    exact = call(lq)
    with torch.autocast("cpu", torch.bfloat16):
        half = call(lq)
    assert (half.float() - exact).abs().max() < 0.05


def test_spacetime_backbone_trains_every_parameter(spacetime):
    net, call = spacetime
    stirred(net)
    call(torch.rand(1, 2, 3, 12, 16)).square().mean().backward()
    assert not without_gradient(net)


def check_every_parameter_trains(net, lq):
    with torch.no_grad():  # layers that start at zero would hide the gradients of those below
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    net(lq).square().mean().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@pytest.mark.parametrize("name", sorted(tiny.WINDOW_BACKBONES))
class TestWindowBackbone:
    @pytest.fixture
    def net(self, name):
        net = BACKBONES.build(tiny.WINDOW_BACKBONES[name]).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return net

    @pytest.mark.parametrize("steps", [(1, 1), (2, 5), (7, 3)])
    @torch.no_grad()
    def test_restores_the_centre_frame(self, net, steps):
        h, w = (net.size_multiple * n for n in steps)
        lq = torch.rand(2, net.num_frames, 3, h, w)
        before = lq.clone()
        out = net(lq)
        assert out.shape == (2, 3, h * net.scale, w * net.scale)
        assert out.isfinite().all()
        assert torch.equal(lq, before), "the caller's frames were changed"
        torch.testing.assert_close(out, torch.cat([net(clip[None]) for clip in lq]), atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("beside", [(0, 1), (2, 0), (3, 3)])
    def test_refuses_sides_that_do_not_fit(self, net, beside):
        h, w = (2 * net.size_multiple + n for n in beside)
        with pytest.raises(RequestError, match=rf"multiples of {net.size_multiple}, got {w}x{h} \(width x height\)"):
            net(torch.rand(1, net.num_frames, 3, h, w))

    @pytest.mark.parametrize("more", [-1, 1])
    def test_refuses_another_number_of_frames(self, net, more):
        with pytest.raises(RequestError, match=f"exactly {net.num_frames} frames, got "):
            net(torch.rand(1, net.num_frames + more, 3, 16, 16))

    @torch.no_grad()
    def test_in_bf16_stays_close(self, name):
        net = BACKBONES.build(tiny.WINDOW_BACKBONES[name]).eval()
        lq = torch.rand(1, net.num_frames, 3, 16, 16)
        exact = net(lq)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(lq)
        assert (half.float() - exact).abs().max() < 0.03

    def test_trains_every_parameter(self, name):
        net = BACKBONES.build(tiny.WINDOW_BACKBONES[name])
        check_every_parameter_trains(net, torch.rand(2, net.num_frames, 3, 16, 16))


@pytest.fixture(params=sorted(tiny.IMAGE_BACKBONES))
def image_backbone(request):
    torch.manual_seed(0)
    net = built(BACKBONES, tiny.IMAGE_BACKBONES[request.param]).eval()
    if hasattr(net, "attach_weights"):  # a network that its weights decide
        try:
            net.attach_weights(BACKBONES.build(tiny.SRVGG).state_dict())
        except MissingDependencyError as reason:
            pytest.skip(str(reason))
    return net


def image_side(net, side):
    """The next side that keeps the network's rules."""
    multiple = getattr(net, "size_multiple", 1)
    return -(-max(side, getattr(net, "least_size_px", 1)) // multiple) * multiple


@pytest.mark.parametrize(("h", "w"), [(16, 16), (17, 23), (1, 40), (32, 8)])
@torch.no_grad()
def test_image_backbone_takes_any_size_by_its_rule_and_batches(image_backbone, h, w):
    net = image_backbone
    h, w = image_side(net, h), image_side(net, w)
    x = torch.rand(3, 3, h, w)
    before = x.clone()
    out = net(x)
    assert net.input == "image"
    assert out.shape == (3, 3, h * net.scale, w * net.scale)
    assert out.isfinite().all()
    assert torch.equal(x, before), "the caller's images were changed"
    torch.testing.assert_close(out, torch.cat([net(image[None]) for image in x]), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_image_backbone_in_bf16_stays_close(image_backbone):
    x = torch.rand(1, 3, 16, 20)
    exact = image_backbone(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = image_backbone(x)
    assert (half.float() - exact).abs().max() < 0.03


def test_image_backbone_trains_every_parameter(image_backbone):
    if hasattr(image_backbone, "attach_weights"):
        pytest.skip("it restores and is not trained")
    net = image_backbone.train()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    net(torch.rand(1, 3, 16, 16)).square().mean().backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@pytest.mark.parametrize("registry_and_config", [
    *((BACKBONES, cfg) for cfg in tiny.BACKBONES.values()),
    *((MODELS, cfg) for cfg in tiny.RESTORERS.values()),
], ids=lambda pair: pair[1]["type"])  # fmt: skip
def test_config_and_state_round_trips(registry_and_config):
    registry, config = registry_and_config
    given = copy.deepcopy(config)
    first = built(registry, config)
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

    def test_keeps_the_frame_count_of_every_rate(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        caps = restorer.capabilities
        side = max(caps.least_size_px, 16)
        for frames in {max(caps.least_frames, 1), max(caps.least_frames, 2)}:
            clip = torch.rand(frames, 3, side, side)
            for factor in caps.temporal_scales.fixed or (f for f in (0.5, 1, 2, 2.5) if f in caps.temporal_scales):
                out = restorer.restore(clip, Request(temporal_scale=factor))
                assert len(out) == max(round(frames * factor), 1)

    def test_serves_every_declared_precision(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        frames = torch.rand(2, 3, 16, 16)
        factor = 2 if 2 in restorer.capabilities.temporal_scales else 1
        exact = restorer.restore(frames, Request(temporal_scale=factor))
        for precision in restorer.capabilities.dtypes:
            if precision == "fp16" and not torch.cuda.is_available():
                continue  # half-precision convolutions on a CPU are a GPU's job
            out = restorer.restore(frames, Request(precision=precision, temporal_scale=factor))
            assert (out - exact).abs().max() < 0.03

    def test_refuses_clips_that_it_cannot_take(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        caps = restorer.capabilities
        frames, side = max(caps.least_frames, 2), max(caps.least_size_px, 16)
        wrong = {
            rf"3 RGB channels, got \({frames}, 4, {side}, {side}\)": (frames, 4, side, side),
            r"frames are empty": (0, 3, side, side),
        }
        if caps.least_frames > 1:
            few = caps.least_frames - 1
            wrong[rf"has {few} frame\(s\); this model needs at least {caps.least_frames}"] = (few, 3, side, side)
        if caps.least_size_px > 1:
            small = caps.least_size_px - 1
            wrong[rf"{small}x{side} .* at least {caps.least_size_px} pixels"] = (frames, 3, side, small)
        for message, shape in wrong.items():
            with pytest.raises(RequestError, match=message):
                restorer.restore(torch.rand(shape))

    def test_names_what_it_serves_of_a_request(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        caps = restorer.capabilities
        frames = torch.rand(max(caps.least_frames, 2), 3, 16, 16)
        for scale in (0.01, 7.3, 64.0):
            if scale not in caps.spatial_scales:
                with pytest.raises(RequestError, match=rf"scale={scale:g}.*"):
                    restorer.restore(frames, Request(scale=scale))
        if 5.3 not in caps.temporal_scales:
            with pytest.raises(RequestError, match=r"5\.3 times the frame rate is not served"):
                restorer.restore(frames, Request(temporal_scale=5.3))

    def test_is_repeatable(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        frames = torch.rand(2, 3, 16, 16)
        assert torch.equal(restorer.restore(frames, Request(seed=3)), restorer.restore(frames, Request(seed=3)))

    def test_hits_a_target_size(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        assert restorer.restore(torch.rand(2, 3, 16, 16), Request(size=(37, 50))).shape == (2, 3, 37, 50)

    def test_predict_mode_is_what_evaluators_take(self, name):
        restorer = MODELS.build(tiny.RESTORERS[name])
        caps = restorer.capabilities
        frames, side = max(caps.least_frames, 2), max(caps.least_size_px, 16)
        larger = round(side * caps.factor(Request()))
        lq, hq = torch.rand(2, frames, 3, side, side), torch.rand(2, frames, 3, larger, larger)
        outputs = restorer(lq=lq, hq=hq, clip=["a", "b"], mode="predict")
        assert [o["clip"] for o in outputs] == ["a", "b"]
        assert all(o["pred"].shape == o["hq"].shape for o in outputs)


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


@pytest.mark.parametrize("name", sorted(tiny.DISCRIMINATORS))
def test_discriminator_judges_each_frame_and_trains_whole(name):
    net = BACKBONES.build(tiny.DISCRIMINATORS[name])
    frames = torch.rand(3, 3, 16, 24)
    for _ in range(5):
        net(frames)  # settles the norms of its weights
    net.eval()
    scores = net(frames)
    assert len(scores) == 3
    torch.testing.assert_close(torch.cat([net(frame[None]) for frame in frames]), scores, atol=1e-5, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert (net(frames).float() - scores).abs().max() < 0.03
    check_every_parameter_trains(net.train(), frames)


@pytest.mark.parametrize("name", sorted(tiny.ADVERSARIAL_LOSSES))
def test_adversarial_loss_falls_where_the_scores_say_what_they_should(name):
    loss = LOSSES.build(tiny.ADVERSARIAL_LOSSES[name])
    low, high = -torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    for is_disc in (True, False):
        assert loss(high, True, is_disc=is_disc) < loss(low, True, is_disc=is_disc)
        assert loss(low, False, is_disc=is_disc) < loss(high, False, is_disc=is_disc)
    half = LOSSES.build({**tiny.ADVERSARIAL_LOSSES[name], "loss_weight": 0.5})
    assert half(low, True).item() == pytest.approx(loss(low, True).item() / 2)
    assert half(low, True, is_disc=True).item() == loss(low, True, is_disc=True).item()


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
