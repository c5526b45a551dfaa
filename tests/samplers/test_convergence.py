"""Every solver against Gaussian data, whose diffusion is known exactly: its order, and the law it samples."""

import math

import pytest
import torch

from tests.samplers.gaussian import GaussianData, levels, slope, some_data
from vrestore.diffusion import BrownianNoise, GeneratorNoise
from vrestore.samplers import build_sampler, traits_of

STEPS = [32, 64, 128, 256]
HIGH, LOW = 20.0, 0.1

DETERMINISTIC = [
    ("euler", 1),
    ("ddim", 1),
    ("heun", 2),
    ("dpmpp_2m", 2),
    ({"type": "dpmpp_2m", "solver_type": "heun"}, 2),
    ({"type": "dpmpp_2m_sde", "eta": 0.0}, 2),
    ({"type": "dpmpp_3m_sde", "eta": 0.0}, 3),
    *[
        ({"type": "unipc", "order": order, "variant": variant, "corrector": corrector}, order + corrector)
        for order in (1, 2, 3)
        for variant in ("bh1", "bh2")
        for corrector in (False, True)
    ],
]

# The variance of what is sampled converges with these orders (that of the noise's law, not of a path).
STOCHASTIC = [
    ("euler_ancestral", 1),
    ({"type": "ddim", "eta": 0.5}, 1),
    ({"type": "euler", "s_churn": 5.0}, 1),
    ({"type": "heun", "s_churn": 5.0}, 2),
    ("dpmpp_2m_sde", 2),
    ({"type": "dpmpp_2m_sde", "eta": 0.5}, 2),
    ({"type": "dpmpp_2m_sde", "solver_type": "heun"}, 2),
    ("dpmpp_3m_sde", 2),
    ({"type": "dpmpp_3m_sde", "as_k_diffusion": True}, 2),
]


def title(case):
    return case if isinstance(case, (str, int)) else "-".join(f"{value}" for value in case.values())


def errors(cfg, power):
    """Largest distance from the exact flow for every number of steps."""
    data, sampler = some_data(), build_sampler(cfg)
    x = data.mean + data.deviation_at(HIGH) * torch.tensor([[1.0, -0.7, 0.4, 1.3]], dtype=torch.float64)
    exact = data.flow(x, HIGH, LOW)
    return [float((sampler(data, x, levels(n, HIGH, LOW, power)) - exact).abs().max()) for n in STEPS]


@pytest.mark.parametrize(("cfg", "order"), DETERMINISTIC, ids=title)
def test_order_of_the_flow(cfg, order):
    """On levels whose first steps are small: a multistep method starts without a history."""
    found = errors(cfg, power=2.0)
    assert slope(STEPS, found) == pytest.approx(order, abs=0.12)
    assert found[-1] < 0.02


def test_traits_tell_the_order():
    orders = {cfg: order for cfg, order in DETERMINISTIC if isinstance(cfg, str)}
    assert {name: traits_of(build_sampler(name)).order for name in orders} == orders
    assert traits_of(build_sampler("unipc")).order == 3
    assert traits_of(build_sampler("dpmpp_3m_sde")).order == 3
    assert traits_of(build_sampler({"type": "dpmpp_2m_sde", "eta": 0.0})).order == 2


def test_half_the_quadratic_term_costs_an_order():
    whole = errors({"type": "dpmpp_3m_sde", "eta": 0.0}, power=1.0)
    half = errors({"type": "dpmpp_3m_sde", "eta": 0.0, "as_k_diffusion": True}, power=1.0)
    assert slope(STEPS, half) == pytest.approx(2, abs=0.1)
    assert max(a / b for a, b in zip(whole, half, strict=True)) < 0.5


@pytest.mark.parametrize("name", ["euler_ancestral", "ddim"])
def test_without_noise_they_are_euler(name):
    data, sigmas = some_data(), levels(9)
    x = torch.ones(1, 4, dtype=torch.float64)
    assert torch.equal(
        build_sampler({"type": name, "eta": 0.0})(data, x, sigmas), build_sampler("euler")(data, x, sigmas)
    )


def sampled_variance(cfg, steps):
    """Exact variance of a solver's result: the sum of its squared answers to unit noises, being linear."""
    data = GaussianData(torch.zeros(4, dtype=torch.float64), some_data().deviation)
    sigmas, drawn = levels(steps, HIGH, LOW), []
    x = torch.zeros(steps + 1, 4, dtype=torch.float64)
    x[0] = data.deviation_at(HIGH)

    def unit_noise(sigma, sigma_next):
        drawn.append(sigma)
        noise = torch.zeros_like(x)
        noise[len(drawn)] = 1
        return noise

    variance = build_sampler(cfg)(data, x, sigmas, noise_sampler=unit_noise).square().sum(0)
    assert len(drawn) == steps
    return variance, data.deviation_at(LOW) ** 2


@pytest.mark.parametrize(("cfg", "order"), STOCHASTIC, ids=title)
def test_order_of_the_law(cfg, order):
    pairs = [sampled_variance(cfg, n) for n in STEPS]
    found = [float((got / want - 1).abs().max()) for got, want in pairs]
    assert slope(STEPS, found) > order - 0.12
    assert found[-1] < 0.05


@pytest.mark.parametrize(
    ("name", "kind"),
    [("euler_ancestral", "white"), ("dpmpp_2m_sde", "white"), ("dpmpp_3m_sde", "white"), ("dpmpp_2m_sde", "brownian")],
)
def test_moments(name, kind):
    """What comes out of many samples has the data's mean and deviation, with either noise."""
    data, steps, count = some_data(), 120 if name == "euler_ancestral" else 24, 4000
    sigmas = [*levels(steps, HIGH, 0.05), 0.0]
    generator = torch.Generator().manual_seed(3)
    x = data.mean + data.deviation_at(HIGH) * torch.randn(count, 4, generator=generator, dtype=torch.float64)
    if kind == "brownian":
        pytest.importorskip("torchsde")
    noise = BrownianNoise(x, sigmas, 5) if kind == "brownian" else GeneratorNoise(x, generator)
    samples = build_sampler(name)(data, x, sigmas, noise_sampler=noise)
    assert ((samples.mean(0) - data.mean).abs() < 4 * data.deviation / math.sqrt(count)).all()
    assert (samples.std(0) / data.deviation - 1).abs().max() < 0.045
