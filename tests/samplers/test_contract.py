"""What holds for every registered sampler."""

import math

import pytest
import torch

from tests.samplers.gaussian import levels, some_data
from vrestore.diffusion import ClipWhiteNoise
from vrestore.errors import ConfigError, RegistryError, RequestError
from vrestore.registry import SAMPLERS
from vrestore.samplers import build_sampler, traits_of

SAMPLERS.import_from_location()
PLAIN = sorted(name for name, entry in SAMPLERS.module_dict.items() if not isinstance(entry, type))
SHAPE = (2, 3, 1, 4, 4)


def denoise(x, sigma):
    """The posterior mean of standard normal data."""
    return torch.zeros_like(x) if math.isinf(sigma) else x / (1 + sigma**2)


def noisy(seed=0):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def sample(name, sigmas, x=None, callback=None, denoise=denoise):
    x = noisy() if x is None else x
    return build_sampler(name)(denoise, x, sigmas, noise_sampler=ClipWhiteNoise(x, 1), callback=callback)


def test_the_names():
    asked = {"ddim", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "euler", "euler_ancestral", "heun", "unipc"}
    assert set(PLAIN) == asked


@pytest.mark.parametrize("name", PLAIN)
class TestEverySampler:
    def test_repeats_and_leaves_its_input(self, name):
        x = 10 * noisy()
        kept = x.clone()
        first, second = (sample(name, [10, 3, 1, 0.3, 0], x) for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(x, kept)
        assert first.dtype == x.dtype
        assert first.shape == x.shape
        assert not torch.equal(first, x)

    def test_one_step(self, name):
        """A single step to 0 is the denoiser's estimate."""
        x = 5 * noisy()
        assert torch.equal(sample(name, [5, 0], x), denoise(x, 5))

    def test_one_step_from_pure_noise(self, name):
        assert torch.equal(sample(name, [math.inf, 0]), torch.zeros(SHAPE))

    def test_from_pure_noise(self, name):
        """The step out of pure noise puts it around the estimate, and the solver goes on from there."""
        x = noisy()
        result = sample(name, [math.inf, 4, 1, 0.2, 0], x)
        assert torch.isfinite(result).all()
        if name in ("euler", "ddim", "heun", "dpmpp_2m", "unipc"):
            assert torch.allclose(result, sample(name, [4, 1, 0.2, 0], 4 * x))

    def test_two_steps_out_of_pure_noise(self, name):
        x = noisy()
        assert torch.equal(sample(name, [math.inf, 4, 0], x), denoise(4 * x, 4))

    def test_stops_above_zero(self, name):
        """Without a last level of 0 the result is the state at the last level."""
        data = some_data()
        x = data.mean + 20 * torch.ones(1, 4, dtype=torch.float64)
        result = build_sampler(name)(data, x, levels(400), noise_sampler=lambda sigma, sigma_next: torch.zeros_like(x))
        assert torch.isfinite(result).all()
        if not traits_of(build_sampler(name)).stochastic:
            assert torch.allclose(result, data.flow(x, 20.0, 0.1), atol=0.02)

    def test_reports_each_step(self, name):
        told = []
        sigmas = [math.inf, 8, 2, 0.5, 0]
        result = sample(name, sigmas, callback=told.append)
        assert [report.step for report in told] == [1, 2, 3, 4]
        assert {report.steps for report in told} == {4}
        assert [report.sigma for report in told] == sigmas[:-1]
        assert [report.sigma_next for report in told] == sigmas[1:]
        assert torch.equal(told[-1].x, result)
        assert told[0].denoised.shape == result.shape

    def test_a_callback_can_stop_it(self, name):
        class Stop(Exception):
            pass

        def stop(report):
            if report.step == 2:
                raise Stop

        with pytest.raises(Stop):
            sample(name, [8, 2, 0.5, 0], callback=stop)

    def test_counts_its_evaluations(self, name):
        seen = []

        def counted(x, sigma):
            seen.append(sigma)
            return denoise(x, sigma)

        sample(name, [8, 2, 0.5, 0], denoise=counted)
        per_step = traits_of(build_sampler(name)).evaluations_per_step
        assert len(seen) == 3 * per_step - (per_step - 1)  # the last step to 0 takes one

    @pytest.mark.parametrize(
        "sigmas", [[3.0], [], [1, 2, 0], [2, 2, 0], [2, -1], [2, math.nan, 0], [math.inf, math.inf, 0]]
    )
    def test_refuses_levels_that_do_not_fall(self, name, sigmas):
        with pytest.raises(RequestError, match="noise levels that fall"):
            sample(name, sigmas)

    def test_needs_noise_where_it_draws(self, name):
        if traits_of(build_sampler(name)).stochastic:
            with pytest.raises(ConfigError, match="draws noise"):
                build_sampler(name)(denoise, noisy(), [3, 1, 0])
        else:
            build_sampler(name)(denoise, noisy(), [3, 1, 0])


@pytest.mark.parametrize("name", ["heun", "euler"])
def test_churn_acts_between_its_levels(name):
    raised = []

    def noise(sigma, sigma_next):
        raised.append((sigma, sigma_next))
        return torch.ones(SHAPE)

    sampler = build_sampler({"type": name, "s_churn": 2.0, "s_tmin": 0.5, "s_tmax": 5.0})
    result = sampler(denoise, noisy(), [8, 2, 0.1, 0], noise_sampler=noise)
    assert raised == [(8, 8), (2, pytest.approx(2 * (1 + math.sqrt(2) - 1))), (0.1, 0.1)]
    assert not torch.equal(result, sample(name, [8, 2, 0.1, 0]))
    with pytest.raises(ConfigError, match=f"'{name}' draws noise"):
        sampler(denoise, noisy(), [8, 2, 0])


def test_churn_draws_once_a_step_also_out_of_pure_noise():
    drawn = []
    sampler = build_sampler({"type": "heun", "s_churn": 1.0})
    sampler(denoise, noisy(), [math.inf, 2, 0.5, 0], noise_sampler=lambda a, b: drawn.append(a) or torch.ones(SHAPE))
    assert drawn == [math.inf, 2, 0.5]


class TestBuild:
    def test_by_name_config_or_itself(self):
        heun = SAMPLERS.get("heun")
        assert build_sampler("heun") is heun
        assert build_sampler({"type": "heun"}) is heun
        assert build_sampler(heun) is heun
        assert build_sampler({"type": "heun", "s_churn": 3.0}).keywords == {"s_churn": 3.0}

    def test_an_unknown_name(self):
        with pytest.raises(RegistryError, match=r"not registered in SAMPLERS.*dpmpp_2m"):
            build_sampler("dpmpp_2n")

    def test_an_unknown_argument(self):
        with pytest.raises(ConfigError, match=r"'ddim' takes no argument 'churn' \(allowed: eta, s_noise\)"):
            build_sampler({"type": "ddim", "churn": 1})
        with pytest.raises(ConfigError, match="'callback'"):
            build_sampler({"type": "ddim", "callback": print})

    def test_choices(self):
        with pytest.raises(ConfigError, match="solver_type"):
            sample({"type": "dpmpp_2m", "solver_type": "cheap"}, [2, 1, 0])
        with pytest.raises(ConfigError, match="unipc needs order"):
            sample({"type": "unipc", "order": 4}, [2, 1, 0])

    def test_a_sampler_of_ones_own(self):
        def identity(denoise, x, sigmas, *, noise_sampler=None, callback=None):
            return x

        assert traits_of(identity).order == 1
        assert build_sampler(identity) is identity
