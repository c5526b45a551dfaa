"""Noise schedules: their tables, the way from timestep to level and back, and what they refuse."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrestore.diffusion import BetaSchedule, LogSNRCosineInterp, posterior, rescale_to_zero_terminal_snr
from vrestore.diffusion.logsnr_cosine import interpolated_logsnr
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import SCHEDULES

OFFICIAL = LogSNRCosineInterp()
EVERY = {
    "official": OFFICIAL,
    "exact": LogSNRCosineInterp(exact=True),
    "exact, not to pure noise": LogSNRCosineInterp(exact=True, zero_terminal_snr=False),
    "short": LogSNRCosineInterp(num_steps=50, scale_min=1.0, scale_max=1.0),
    "stable diffusion": BetaSchedule(),
    "ddpm": BetaSchedule(kind="linear", beta_start=1e-4, beta_end=0.02),
    "to pure noise": BetaSchedule(zero_terminal_snr=True),
}


@pytest.mark.parametrize("schedule", EVERY.values(), ids=EVERY)
class TestEverySchedule:
    def test_levels_rise_and_keep_the_variance(self, schedule):
        assert (schedule.vp_sigmas.diff() >= 0).all()
        assert float(schedule.vp_sigmas[0]) > 0
        assert torch.allclose(schedule.alphas**2 + schedule.vp_sigmas**2, torch.ones(()).to(schedule.alphas), atol=1e-6)
        finite = schedule.k_sigmas.isfinite()
        assert finite[:-1].all()
        ratio = schedule.vp_sigmas[:-10] / schedule.alphas[:-10]  # near pure noise float32 tells little of it
        assert torch.allclose(schedule.k_sigmas[:-10], ratio, rtol=1e-3)
        assert (schedule.k_sigmas.diff() > 0).all()

    def test_whole_timesteps_come_back(self, schedule):
        t = torch.arange(len(schedule)).to(schedule.vp_sigmas.dtype)
        assert torch.equal(schedule.sigma_to_t(schedule.t_to_sigma(t)).round(), t)

    def test_levels_beyond_the_table_are_its_ends(self, schedule):
        last = len(schedule) - 1
        assert float(schedule.sigma_to_t(1e-9)) == 0
        assert float(schedule.sigma_to_t(math.inf)) == last
        finite = float(schedule.k_sigmas[schedule.k_sigmas.isfinite()][-1])
        assert last - 1 <= float(schedule.sigma_to_t(finite * 2)) <= last

    def test_diffuse_keeps_the_variance(self, schedule):
        generator = torch.Generator().manual_seed(0)
        x0, noise = (torch.randn(1, 50000, generator=generator) for _ in range(2))
        for t in (0, len(schedule) // 2, len(schedule) - 1):
            assert float(schedule.diffuse(x0, t, noise).std()) == pytest.approx(1, abs=0.02)


@given(st.floats(0, 998))
def test_fractional_timesteps_come_back(t):
    assert float(OFFICIAL.sigma_to_t(OFFICIAL.t_to_sigma(t))) == pytest.approx(t, abs=2e-3 if t < 900 else 0.3)


def test_the_stored_tables_are_the_formula():
    """What float32 makes of the formula here is within rounding of the tables that were stored; float64 is near."""
    for dtype, room in ((torch.float32, 2.5e-7), (torch.float64, 1e-6)):
        logsnr = interpolated_logsnr(torch.linspace(1, 0, 1000, dtype=dtype), -15, 15, 2, 4)
        assert torch.allclose(OFFICIAL.logsnr.to(dtype), logsnr, atol=2e-3 if dtype == torch.float64 else 2e-5)
        assert (torch.sqrt(torch.sigmoid(-logsnr)) - OFFICIAL.vp_sigmas).abs().max() < room
    other = LogSNRCosineInterp(scale_max=4.0 + 1e-6)  # no longer the stored one
    assert torch.allclose(other.vp_sigmas, OFFICIAL.vp_sigmas, atol=1e-6)
    assert torch.allclose(other.k_sigmas[:900], OFFICIAL.k_sigmas[:900], rtol=1e-4)
    assert torch.allclose(OFFICIAL.log_k_sigmas[:-1], OFFICIAL.k_sigmas[:-1].log(), atol=1e-6)


def test_the_official_ends():
    assert float(OFFICIAL.vp_sigmas[0]) == pytest.approx(0.00110626, rel=1e-5)
    assert float(OFFICIAL.vp_sigmas[-1]) == 1.0
    assert float(OFFICIAL.k_sigmas[998]) == pytest.approx(2048.0, rel=1e-6)
    assert float(OFFICIAL.t_to_sigma(998.5)) == math.inf
    assert float(EVERY["exact, not to pure noise"].k_sigmas[998]) == pytest.approx(1881, rel=1e-3)


def test_rescaling_to_pure_noise():
    plain, rescaled = EVERY["stable diffusion"], EVERY["to pure noise"]
    assert float(rescaled.alphas[-1]) == 0
    assert float(rescaled.alphas[0]) == pytest.approx(float(plain.alphas[0]), abs=1e-12)
    assert torch.equal(rescale_to_zero_terminal_snr(rescaled.vp_sigmas), rescaled.vp_sigmas)
    assert torch.equal(rescale_to_zero_terminal_snr(OFFICIAL.vp_sigmas), OFFICIAL.vp_sigmas)


def test_stable_diffusion_table():
    """Known values of the widely used table: 0.0292 and 14.6146."""
    assert float(EVERY["stable diffusion"].k_sigmas[0]) == pytest.approx(0.0292, abs=1e-4)
    assert float(EVERY["stable diffusion"].k_sigmas[-1]) == pytest.approx(14.6146, abs=1e-3)


@pytest.mark.parametrize("t", [-1, 1000, torch.tensor([3, -1]), 999.5])
def test_refuses_timesteps_outside(t):
    """A noise augmentation of 0 must never become index -1, the noisiest level."""
    x = torch.zeros(2, 3)
    with pytest.raises(RequestError, match="must lie from 0 to 999"):
        OFFICIAL.diffuse(x, t, x)


def test_one_timestep_a_sample():
    x0, noise = torch.ones(3, 2, 2), torch.zeros(3, 2, 2)
    diffused = OFFICIAL.diffuse(x0, torch.tensor([0, 500, 999]), noise)
    assert torch.equal(diffused[:, 0, 0], OFFICIAL.alphas[[0, 500, 999]])
    half = OFFICIAL.diffuse(x0.half(), 500, noise.half())
    assert half.dtype == torch.float16


@pytest.mark.parametrize("exact", [False, True])
def test_fractional_levels_lie_between(exact):
    schedule, like = LogSNRCosineInterp(exact=exact), torch.zeros(1, 1)
    alpha, sigma = schedule.levels(torch.tensor([0.5]), like)
    assert schedule.alphas[1] < float(alpha) < schedule.alphas[0]
    assert schedule.vp_sigmas[0] < float(sigma) < schedule.vp_sigmas[1]
    alpha, sigma = OFFICIAL.levels(999.0, like)
    assert (float(alpha), float(sigma)) == (0.0, 1.0)


def test_posterior_by_sampling():
    """Mean and variance of q(x_s | x_t, x_0) agree with regression on many noised samples."""
    t, s, x0 = 400, 300, 0.7
    generator = torch.Generator().manual_seed(1)
    alpha_s, sigma_s = float(OFFICIAL.alphas[s]), float(OFFICIAL.vp_sigmas[s])
    x_s = alpha_s * x0 + sigma_s * torch.randn(200000, generator=generator, dtype=torch.float64)
    step = float(OFFICIAL.alphas[t]) / alpha_s
    x_t = step * x_s + math.sqrt(1 - step**2) * torch.randn(200000, generator=generator, dtype=torch.float64)
    mean, variance, log_variance = posterior(OFFICIAL, torch.full((200000, 1), x0), x_t[:, None], t, s)
    left = x_s[:, None] - mean
    assert float(left.mean()) == pytest.approx(0, abs=5e-3)
    assert float(left.var()) == pytest.approx(float(variance[0]), rel=0.02)
    assert float((left * (x_t[:, None] - x_t.mean())).mean()) == pytest.approx(0, abs=5e-3)
    assert float(log_variance[0]) == pytest.approx(math.log(variance[0]), abs=1e-5)


def test_registry_and_refusals():
    built = SCHEDULES.build({"type": "LogSNRCosineInterp"})
    assert torch.equal(built.vp_sigmas, OFFICIAL.vp_sigmas)
    assert len(SCHEDULES.build({"type": "BetaSchedule", "num_steps": 20})) == 20
    for cfg in (
        {"type": "LogSNRCosineInterp", "num_steps": 1},
        {"type": "LogSNRCosineInterp", "logsnr_min": 20},
        {"type": "LogSNRCosineInterp", "scale_min": 0},
        {"type": "BetaSchedule", "beta_end": 1.0},
        {"type": "BetaSchedule", "kind": "quadratic"},
    ):
        with pytest.raises(ConfigError):
            SCHEDULES.build(cfg)
