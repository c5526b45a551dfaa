"""The denoiser: prediction types, guidance, clamping, timesteps, windows; and whole samplings through it."""

import math

import pytest
import torch
from torch import nn

from tests.samplers.gaussian import GaussianData
from vrestore.diffusion import (
    PREDICTIONS,
    BetaSchedule,
    Denoiser,
    Guidance,
    LogSNRCosineInterp,
    clip_noise,
    initial_state,
    sampling_sigmas,
    target,
    to_eps,
    to_x0,
)
from vrestore.errors import ConfigError, RequestError
from vrestore.samplers import build_sampler

SCHEDULE = LogSNRCosineInterp()
SHAPE = (2, 3, 4, 5, 6)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Net(nn.Module):
    """A small network with a time, a text, a per-frame index and a number as conditions."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.conv = nn.Conv3d(3, 3, 3, padding=1)
        self.text = nn.Linear(7, 3)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
        self.calls = []

    def forward(self, noised, t, text, index=None, level=None):
        self.calls.append((noised.shape[0], t.tolist()))
        y = self.conv(noised) + self.text(text).mean(1)[:, :, None, None, None]
        y = y * (1 + 0.1 * torch.sin(t.to(y.dtype) / 50))[:, None, None, None, None]
        if index is not None:
            y = y + 0.1 * (index >= 0).to(y.dtype)[:, None, :, None, None]
        return y if level is None else y + 0.01 * level.view(-1, 1, 1, 1, 1)


def conditions(batch=2):
    return {
        "text": randn(batch, 4, 7, seed=1),
        "index": torch.tensor([[0, -1, -1, 1], [0, -1, 1, -1]])[:batch],
        "level": torch.tensor(3.0),
    }


def denoiser(guidance=None, network=None, **settings):
    negative = {"text": randn(1, 4, 7, seed=2)}
    return Denoiser(
        network or Net(),
        SCHEDULE,
        conditions(),
        guidance=guidance,
        negative=negative,
        frame_axes={"index": 1},
        **settings,
    )


class TestPredictions:
    @pytest.mark.parametrize("prediction", PREDICTIONS)
    @pytest.mark.parametrize("t", [0, 400, 998])
    def test_the_target_gives_back_the_data(self, prediction, t):
        schedule = LogSNRCosineInterp(exact=True)
        x0, noise = randn(*SHAPE).double(), randn(*SHAPE, seed=1).double()
        alpha, sigma = schedule.levels(t, x0)
        noised = schedule.diffuse(x0, t, noise)
        found = to_x0(prediction, target(prediction, x0, noise, alpha, sigma), noised, alpha, sigma)
        assert torch.allclose(found, x0, atol=1e-9)
        assert torch.allclose(to_eps(found, noised, alpha, sigma), noise, atol=1e-9)

    def test_noise_alone_tells_nothing(self):
        level = SCHEDULE.levels(999, randn(*SHAPE))
        with pytest.raises(RequestError, match="cannot start from pure noise"):
            to_x0("eps", randn(*SHAPE), randn(*SHAPE), *level)
        assert torch.isfinite(to_x0("v", randn(*SHAPE), randn(*SHAPE), *level)).all()

    def test_unknown(self):
        with pytest.raises(ConfigError, match="prediction must be one of v, eps, x0"):
            Denoiser(Net(), SCHEDULE, prediction="flow")


class TestGuidance:
    def test_a_scale_of_one_or_none_calls_once(self):
        for guidance in (None, Guidance(1.0, 0.2)):
            net = Net()
            denoiser(guidance, net)(randn(*SHAPE), 1.0)
            assert len(net.calls) == 1

    def test_conditional_first(self):
        seen = []

        def network(noised, t, text, **_):
            seen.append(float(text.flatten()[0]))
            return noised

        denoiser(Guidance(3.0), network)(randn(*SHAPE), 1.0)
        assert seen == [float(conditions()["text"].flatten()[0]), float(randn(1, 4, 7, seed=2).flatten()[0])]

    @pytest.mark.parametrize("rescale", [0.0, 0.2])
    def test_batched_is_the_same(self, rescale):
        x = 3 * randn(*SHAPE)
        net = Net()
        both = denoiser(Guidance(6.0, rescale, batched=True), net)(x, 3.0)
        assert [batch for batch, _ in net.calls] == [4]
        assert torch.allclose(both, denoiser(Guidance(6.0, rescale))(x, 3.0), atol=1e-5)

    def test_batched_refuses_what_it_cannot_stack(self):
        wrapped = denoiser(Guidance(2.0, batched=True))
        wrapped.negative["index"] = None
        with pytest.raises(ConfigError, match="condition 'index' cannot be batched"):
            wrapped(randn(*SHAPE), 1.0)

    def test_mix(self):
        positive, negative = randn(2, 500), randn(2, 500, seed=1)
        assert torch.allclose(Guidance(0.0).mix(positive, negative), negative)
        mixed = Guidance(7.5, 1.0).mix(positive, negative)
        assert torch.allclose(mixed.std(1), positive.std(1), rtol=1e-4)
        plain = Guidance(7.5).mix(positive, negative)
        assert torch.allclose(plain, negative + 7.5 * (positive - negative))
        part = Guidance(7.5, 0.2).mix(positive, negative)
        factor = 0.2 * positive.std(1, keepdim=True) / plain.std(1, keepdim=True) + 0.8
        assert torch.allclose(part, plain * factor, rtol=1e-5)

    def test_rescaling_a_single_number_leaves_it(self):
        mixed = Guidance(2.0, 0.5).mix(torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1))
        assert float(mixed) == 2.0

    def test_interval(self):
        for sigma, calls in ((0.1, 1), (0.5, 2), (3.0, 2), (3.1, 1), (math.inf, 1)):
            net = Net()
            denoiser(Guidance(4.0, interval=(0.5, 3.0)), net)(randn(*SHAPE), sigma)
            assert len(net.calls) == calls, sigma
        net = Net()
        denoiser(Guidance(4.0, interval=(0.5, math.inf)), net)(randn(*SHAPE), math.inf)
        assert len(net.calls) == 2

    @pytest.mark.parametrize(
        "values",
        [{"scale": -1.0}, {"scale": math.nan}, {"rescale": 1.5}, {"interval": (2.0, 1.0)}, {"interval": (-1.0, 1.0)}],
    )
    def test_refusals(self, values):
        with pytest.raises(ConfigError, match="guidance"):
            Guidance(**values)

    def test_needs_negative_conditions(self):
        with pytest.raises(ConfigError, match="needs negative conditions"):
            Denoiser(Net(), SCHEDULE, conditions(), guidance=Guidance(7.5))


class TestDenoiser:
    def test_whole_timesteps_by_default(self):
        net = Net()
        sigma = float(SCHEDULE.t_to_sigma(500.4))
        denoiser(network=net)(randn(*SHAPE), sigma)
        denoiser(network=net, round_timesteps=False)(randn(*SHAPE), sigma)
        assert net.calls[0][1] == [500, 500]
        assert net.calls[1][1] == pytest.approx([500.4, 500.4], abs=1e-3)

    def test_fractional_and_whole_agree_on_whole_ones(self):
        x, sigma = 2 * randn(*SHAPE), float(SCHEDULE.k_sigmas[400])
        whole, fractional = (denoiser(round_timesteps=r)(x, sigma) for r in (True, False))
        assert torch.allclose(whole, fractional, atol=1e-4)

    def test_a_timestep_a_sample(self):
        x = randn(*SHAPE)
        both = denoiser().at_timestep(x, torch.tensor([100, 700]))
        assert torch.allclose(both[0], denoiser().at_timestep(x, 100)[0], atol=1e-6)
        assert torch.allclose(both[1], denoiser().at_timestep(x, 700)[1], atol=1e-6)

    def test_pure_noise_in(self):
        """At an infinite level the state is the noise, and v = -x0 there."""
        x = randn(*SHAPE)
        found = denoiser()(x, math.inf)
        assert torch.allclose(found, -Net()(x, torch.tensor([999, 999]), **conditions()), atol=1e-6)

    def test_clamps(self):
        x = 20 * randn(*SHAPE)
        free = denoiser()(x, 5.0)
        assert torch.equal(denoiser(clamp=0.5)(x, 5.0), free.clamp(-0.5, 0.5))
        dynamic = denoiser(dynamic_threshold=0.9)(x, 5.0)
        limit = torch.quantile(free.flatten(1).abs(), 0.9, dim=1).clamp(min=1).view(2, 1, 1, 1, 1)
        assert torch.allclose(dynamic, torch.minimum(torch.maximum(free, -limit), limit) / limit, atol=1e-5)
        assert dynamic.abs().max() <= 1

    def test_a_quantile_below_one_changes_nothing(self):
        x = 0.01 * randn(*SHAPE)
        network = lambda noised, t, **_: 0 * noised  # noqa: E731
        assert torch.equal(denoiser(network=network, dynamic_threshold=1.0)(x, 0.1), denoiser(network=network)(x, 0.1))

    @pytest.mark.parametrize(
        "settings", [{"clamp": 1.0, "dynamic_threshold": 0.9}, {"clamp": 0.0}, {"dynamic_threshold": 1.2}]
    )
    def test_refuses_impossible_clamps(self, settings):
        with pytest.raises(ConfigError, match="clamp"):
            denoiser(**settings)

    def test_half_precision_network(self):
        """The network sees its own precision, the arithmetic around it stays in float32."""
        seen = []

        def network(noised, t, **_):
            seen.append(noised.dtype)
            return 0.5 * noised

        x = 3 * randn(*SHAPE)
        half = denoiser(Guidance(4.0, 0.2), network, dtype=torch.bfloat16)(x, 3.0)
        assert seen == [torch.bfloat16] * 2
        assert half.dtype == torch.float32
        assert torch.allclose(half, denoiser(Guidance(4.0, 0.2), network)(x, 3.0), atol=0.02)
        assert not torch.equal(half, half.bfloat16().float())

    def test_a_network_of_another_shape(self):
        with pytest.raises(ConfigError, match="needs the same shape back"):
            denoiser(network=lambda noised, t, **_: noised[:, :2])(randn(*SHAPE), 1.0)

    def test_window(self):
        """A window has its own frames' conditions, and leaves the whole clip's alone."""
        seen = []

        def network(noised, t, text, index, level):
            seen.append(index.tolist())
            return noised

        whole = denoiser(Guidance(2.0), network)
        x = randn(*SHAPE)
        part = whole.window(1, 3)(x[:, :, 1:3], 1.0)
        assert part.shape[2] == 2
        assert seen == [[[-1, -1], [-1, 1]]] * 2
        whole(x, 1.0)
        assert len(seen[-1][0]) == 4

    def test_one_frame(self):
        net = Net()
        wrapped = Denoiser(
            net,
            SCHEDULE,
            {"text": randn(1, 4, 7)},
            guidance=Guidance(7.5, 0.2),
            negative={"text": randn(1, 4, 7, seed=3)},
        )
        assert wrapped(randn(1, 3, 1, 4, 4), 2.0).shape == (1, 3, 1, 4, 4)


def gaussian_network(data, schedule, prediction):
    """The ideal network for Gaussian data, of any prediction type."""

    def network(noised, t, **_):
        alpha, sigma = schedule.levels(t.cpu(), noised)
        variance = alpha**2 * data.deviation**2 + sigma**2
        x0 = data.mean + alpha * data.deviation**2 / variance * (noised - alpha * data.mean)
        noise = (noised - alpha * x0) / sigma
        return target(prediction, x0, noise, alpha, sigma)

    return network


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "unipc"])
def test_samples_the_flow_whatever_the_network_predicts(name, prediction):
    """Schedule, spacing, denoiser and solver together carry noise along the exact flow of the data."""
    schedule = LogSNRCosineInterp(exact=True)
    data = GaussianData(torch.full((1, 1, 1, 1, 1), 0.3).double(), torch.full((1, 1, 1, 1, 1), 0.8).double())
    sigmas = sampling_sigmas(schedule, 60, t_max=899, spacing="loglinear")
    denoise = Denoiser(
        gaussian_network(data, schedule, prediction), schedule, prediction=prediction, round_timesteps=False
    )
    x = float(sigmas[0]) * randn(1, 2, 3, 4, 4).double()
    result = build_sampler(name)(denoise, x, sigmas)
    exact = data.flow(x, float(sigmas[0]), 0.0)
    assert (result - exact).abs().max() < (0.2 if name == "euler" else 0.02)


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "dpmpp_3m_sde", "euler_ancestral", "ddim", "heun"])
def test_restores_from_noised_data(name):
    """From pure noise on, through the schedule's infinite level, many samples have the data's law."""
    schedule = LogSNRCosineInterp()
    data = GaussianData(torch.full((1, 1, 1, 1, 1), -0.5), torch.full((1, 1, 1, 1, 1), 0.6))
    sigmas = sampling_sigmas(schedule, 60, discard_penultimate=True)
    assert math.isinf(sigmas[0])
    denoise = Denoiser(gaussian_network(data, schedule, "v"), schedule)
    x = clip_noise(torch.zeros(1, 4, 5, 16, 16), 3, "start")
    generator = torch.Generator().manual_seed(8)
    result = build_sampler(name)(
        denoise,
        initial_state(x, sigmas[0]),
        sigmas,
        noise_sampler=lambda a, b: torch.randn(x.shape, generator=generator),
    )
    assert float(result.mean()) == pytest.approx(-0.5, abs=0.05)
    # In 60 timestep-spaced steps first-order solvers lose some of the spread.
    assert float(result.std()) == pytest.approx(0.6, abs=0.03 if name not in ("euler_ancestral",) else 0.08)


def test_initial_state():
    x0, noise = randn(*SHAPE), randn(*SHAPE, seed=1)
    noised, sigma = SCHEDULE.diffuse(x0, 899, noise), float(SCHEDULE.k_sigmas[899])
    assert torch.allclose(initial_state(noised, sigma, corrected=True), x0 + sigma * noise, atol=1e-3)
    assert torch.allclose(initial_state(noised, sigma) / sigma, noised)
    ratio = initial_state(noised, sigma) / initial_state(noised, sigma, corrected=True)
    assert float(ratio.mean()) == pytest.approx(float(SCHEDULE.vp_sigmas[899]), abs=1e-5)
    assert initial_state(noise, math.inf) is noise


def test_betas_too():
    """The denoiser is not bound to one schedule."""
    schedule = BetaSchedule()
    data = GaussianData(torch.zeros(1, 1, 1, 1, 1), torch.full((1, 1, 1, 1, 1), 0.5))
    denoise = Denoiser(gaussian_network(data, schedule, "eps"), schedule, prediction="eps")
    sigmas = sampling_sigmas(schedule, 40)
    x = float(sigmas[0]) * randn(1, 2, 3, 8, 8)
    assert float(build_sampler("dpmpp_2m")(denoise, x, sigmas).std() / (x.std() / float(sigmas[0]))) == pytest.approx(
        0.5, abs=0.02
    )
