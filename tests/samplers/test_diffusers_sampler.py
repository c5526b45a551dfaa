"""diffusers' schedulers through the adapter: the same results as ours where both have the method."""

import math

import pytest
import torch

from tests.samplers.gaussian import levels, slope, some_data
from vrestore.diffusion import ClipWhiteNoise
from vrestore.errors import ConfigError, MissingDependencyError
from vrestore.samplers import build_sampler

pytest.importorskip("diffusers")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),  # torch and NumPy inside diffusers
]

SIGMAS = [14.0, 7.0, 3.2, 1.5, 0.7, 0.3, 0.12, 0.05, 0.0]


def denoise(x, sigma):
    """Something that is not linear, and depends on the level."""
    return torch.tanh(x / (0.5 + sigma**2)) * (1 + 0.1 * math.sin(sigma))


def noisy(sigma=SIGMAS[0]):
    return sigma * torch.randn((1, 2, 3, 4, 4), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("euler", "EulerDiscreteScheduler"),
        ("heun", "HeunDiscreteScheduler"),
        ("ddim", "DDIMScheduler"),
        ("dpmpp_2m", "DPMSolverMultistepScheduler"),
        (
            {"type": "dpmpp_2m", "solver_type": "heun"},
            {"scheduler": "DPMSolverMultistepScheduler", "solver_type": "heun"},
        ),
        ({"type": "unipc", "order": 2}, "UniPCMultistepScheduler"),
        (
            {"type": "dpmpp_3m_sde", "eta": 0.0, "as_k_diffusion": True},
            {
                "scheduler": "DPMSolverMultistepScheduler",
                "solver_order": 3,
                "solver_type": "heun",
                "lower_order_final": False,
                "euler_at_final": True,
            },
        ),
    ],
    ids=str,
)
def test_equals_ours(ours, theirs):
    theirs = {"scheduler": theirs} if isinstance(theirs, str) else theirs
    adapter = build_sampler({"type": "DiffusersSampler", **theirs})
    want = build_sampler(ours)(denoise, noisy(), SIGMAS)
    got = adapter(denoise, noisy(), SIGMAS)
    assert torch.allclose(got, want, atol=2e-5), float((got - want).abs().max())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("dpmpp_2m_sde", {"scheduler": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}),
        ({"type": "ddim", "eta": 0.6}, {"scheduler": "DDIMScheduler", "eta": 0.6}),
    ],
    ids=str,
)
def test_equals_ours_with_the_same_noise(ours, theirs):
    noise = ClipWhiteNoise(noisy(), 9)
    want = build_sampler(ours)(denoise, noisy(), SIGMAS, noise_sampler=noise)
    got = build_sampler({"type": "DiffusersSampler", **theirs})(denoise, noisy(), SIGMAS, noise_sampler=noise)
    assert torch.allclose(got, want, atol=2e-5), float((got - want).abs().max())


EVERY = [
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
]


@pytest.mark.parametrize("scheduler", EVERY)
def test_every_scheduler_samples_the_data(scheduler):
    """Gaussian data in float32; each ends near where the exact flow does, or has its spread."""
    if "SDE" in scheduler:
        pytest.importorskip("torchsde")
    data = some_data()
    data.mean, data.deviation = data.mean.float(), data.deviation.float()
    sigmas = [*levels(40, 20.0, 0.05), 0.0]
    x = data.mean + data.deviation_at(20.0) * torch.randn(4000, 4, generator=torch.Generator().manual_seed(1))
    told = []
    sampler = build_sampler(f"diffusers:{scheduler}")
    result = sampler(data, x, sigmas, noise_sampler=ClipNoiseLike(x), callback=told.append)
    assert (result.std(0) / data.deviation - 1).abs().max() < 0.12
    assert (result.mean(0) - data.mean).abs().max() < 0.15
    assert told[-1].step == told[-1].steps == len(told)
    assert torch.equal(told[-1].x, result)
    assert told[-1].sigma_next == 0
    again = sampler(data, x, sigmas, noise_sampler=ClipNoiseLike(x))
    assert torch.equal(result, again)


class ClipNoiseLike:
    """Noise for samples in rows, a function of the level."""

    seed = 11

    def __init__(self, like):
        self.like = like

    def __call__(self, sigma, sigma_next):
        generator = torch.Generator().manual_seed(int(sigma * 1e6))
        return torch.randn(self.like.shape, generator=generator)


def test_order_through_the_adapter():
    data = some_data()
    data.mean, data.deviation = data.mean.float(), data.deviation.float()
    x = data.mean + data.deviation_at(20.0) * torch.tensor([[1.0, -0.7, 0.4, 1.3]])
    steps, found = [8, 16, 32], []
    for n in steps:
        sigmas = [*levels(n, 20.0, 0.001), 0.0]
        exact = data.flow(x, 20.0, 0.0)
        found.append(float((build_sampler("diffusers:HeunDiscreteScheduler")(data, x, sigmas) - exact).abs().max()))
    assert slope(steps, found) > 1.7


def test_pure_noise_and_few_steps():
    x = noisy(1.0)
    for scheduler in ("DDIMScheduler", "HeunDiscreteScheduler"):
        sampler = build_sampler(f"diffusers:{scheduler}")
        assert torch.equal(sampler(lambda x, sigma: 0 * x, x, [math.inf, 0]), 0 * x)
        assert torch.equal(sampler(denoise, 3 * x, [3.0, 0]), denoise(3 * x, 3.0))
        started = sampler(lambda x, s: 0 * x if math.isinf(s) else denoise(x, s), x, [math.inf, *SIGMAS])
        assert torch.allclose(started, sampler(denoise, SIGMAS[0] * x, SIGMAS), atol=1e-6)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ("diffusers:NoSuchScheduler", "has no scheduler called 'NoSuchScheduler'"),
        ("diffusers:UNet2DModel", "names end in 'Scheduler'"),
        ("diffusers:FlowMatchEulerDiscreteScheduler", "no solver over a table of betas"),
        ("diffusers:DDIMInverseScheduler", "no solver over a table of betas"),
        ("diffusers:CogVideoXDPMScheduler", "no solver over a table of betas"),
        ({"type": "DiffusersSampler", "scheduler": "DDIMScheduler", "prediction_type": "sample"}, "cannot set"),
        ({"type": "DiffusersSampler", "scheduler": "DDIMScheduler", "wings": 2}, "cannot set 'wings'"),
    ],
)
def test_refusals(cfg, message):
    with pytest.raises(ConfigError, match=message):
        build_sampler(cfg)


def test_refuses_levels_that_stop_above_zero():
    with pytest.raises(ConfigError, match="always goes to noise level 0"):
        build_sampler("diffusers:DDIMScheduler")(denoise, noisy(), [3.0, 1.0])


def test_a_scheduler_that_cannot_follow_says_so():
    with pytest.raises(ConfigError, match="LCMScheduler"):
        build_sampler("diffusers:LCMScheduler")(denoise, noisy(), SIGMAS)


def test_missing_package(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(MissingDependencyError, match=r"vrestore\[diffusion\]"):
        build_sampler("diffusers:DDIMScheduler")
