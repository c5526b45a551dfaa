"""Timestep spacings: counts, order, ends, the official quirks and the edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.diffusion import SPACINGS, BetaSchedule, LogSNRCosineInterp, sampling_sigmas
from vrestore.errors import ConfigError, RequestError

SCHEDULE = LogSNRCosineInterp()
COUNTED = sorted(set(SPACINGS) - {"fast"})


def timesteps(sigmas):
    return SCHEDULE.sigma_to_t(sigmas[:-1]).round().long().tolist()


@settings(max_examples=80, deadline=None)
@given(
    steps=st.integers(1, 250),
    spacing=st.sampled_from(COUNTED),
    t_max=st.integers(400, 999),
    discard=st.booleans(),
)
def test_as_many_steps_as_asked(steps, spacing, t_max, discard):
    sigmas = sampling_sigmas(SCHEDULE, steps, spacing=spacing, t_max=t_max, discard_penultimate=discard)
    assert len(sigmas) == steps + 1
    assert (sigmas.diff() < 0).all()
    assert float(sigmas[-1]) == 0
    assert sigmas[1:].isfinite().all()
    if spacing in ("trailing", "linspace"):
        assert float(sigmas[0]) == pytest.approx(float(SCHEDULE.k_sigmas[t_max]), rel=1e-6)
    assert float(sigmas[0]) <= float(SCHEDULE.k_sigmas[t_max]) * (1 + 1e-6)


@pytest.mark.parametrize(("t_max", "counts"), [(899, [94, 108, 189, 194, 198, 200]), (999, [60, 102, 120, 121, 200])])
def test_the_official_count_has_one_too_many_for_a_few_numbers(t_max, counts):
    kept = {"spacing": "trailing", "t_max": t_max, "discard_penultimate": True}
    more = [n for n in range(1, 201) if len(sampling_sigmas(SCHEDULE, n, exact_count=False, **kept)) != n + 1]
    assert more == counts
    assert all(len(sampling_sigmas(SCHEDULE, n, **kept)) == n + 1 for n in counts)


def test_the_official_45_steps():
    sigmas = sampling_sigmas(SCHEDULE, 45, t_max=899, discard_penultimate=True)
    assert timesteps(sigmas)[:6] == [899, 879, 860, 840, 821, 801]
    assert timesteps(sigmas)[-3:] == [77, 58, 38]


def test_fast_mode():
    """14 evaluations: 4 above timestep 500, 10 of 11 from there on."""
    sigmas = sampling_sigmas(SCHEDULE, spacing="fast", t_max=899, discard_penultimate=True)
    assert timesteps(sigmas) == [899, 799, 699, 599, 500, 454, 409, 363, 318, 272, 227, 181, 136, 90]
    assert float(sigmas[-2]) == pytest.approx(0.3046, abs=1e-4)
    assert torch.equal(sigmas, sampling_sigmas(SCHEDULE, 15, spacing="fast", t_max=899, discard_penultimate=True))


@pytest.mark.parametrize("t_max", [999, 700, 505, 503, 501, 500, 300, 20, 5, 0])
def test_fast_mode_from_any_start(t_max):
    sigmas = sampling_sigmas(SCHEDULE, spacing="fast", t_max=t_max)
    assert (sigmas.diff() < 0).all()
    assert float(sigmas[0]) == pytest.approx(float(SCHEDULE.k_sigmas[t_max]), rel=1e-6)
    if t_max > 11:
        assert len(sigmas) == (16 if t_max > 503 else 12)


def test_one_step():
    """A single step goes from the first level straight to 0."""
    for spacing in ("trailing", "linspace", "karras", "loglinear"):
        for discard in (False, True):
            sigmas = sampling_sigmas(SCHEDULE, 1, spacing=spacing, t_max=899, discard_penultimate=discard)
            assert sigmas.tolist() == pytest.approx([float(SCHEDULE.k_sigmas[899]), 0], rel=1e-5)


def test_more_steps_than_timesteps():
    """Levels between whole timesteps are visited; ones that coincide are not visited twice."""
    short = BetaSchedule(num_steps=10)
    for spacing in COUNTED:
        sigmas = sampling_sigmas(short, 40, spacing=spacing)
        assert (sigmas.diff() < 0).all()
        assert 20 <= len(sigmas) <= 41
    sigmas = sampling_sigmas(SCHEDULE, 1000, t_max=999, discard_penultimate=True)
    assert (sigmas.diff() < 0).all()
    assert sigmas.isinf().sum() == 1


def test_a_single_timestep():
    for spacing in SPACINGS:
        if spacing in ("karras", "loglinear"):
            continue
        sigmas = sampling_sigmas(SCHEDULE, 5, spacing=spacing, t_max=7, t_min=7)
        assert sigmas.tolist() == pytest.approx([float(SCHEDULE.k_sigmas[7]), 0], rel=1e-6)


def test_pure_noise_start():
    sigmas = sampling_sigmas(SCHEDULE, 4)
    assert math.isinf(sigmas[0])
    assert sigmas[1:].isfinite().all()
    for spacing in ("karras", "loglinear"):
        assert sampling_sigmas(SCHEDULE, 4, spacing=spacing).isfinite().all()
        with pytest.raises(RequestError, match="pure noise"):
            sampling_sigmas(SCHEDULE, 4, spacing=spacing, t_min=999)


def test_spacing_in_levels():
    steps = sampling_sigmas(SCHEDULE, 9, spacing="loglinear", t_max=899)[:-1].double().log().diff()
    assert torch.allclose(steps, steps.mean().expand(8), rtol=1e-3)
    roots = sampling_sigmas(SCHEDULE, 9, spacing="karras", t_max=899)[:-1].double().pow(1 / 7).diff()
    assert torch.allclose(roots, roots.mean().expand(8), rtol=1e-3)


@pytest.mark.parametrize(
    "steps", [[800, 500, 200, 50], torch.tensor([800, 500, 200, 50]), np.array([800.0, 500, 200, 50])]
)
def test_listed_timesteps(steps):
    sigmas = sampling_sigmas(SCHEDULE, steps, t_max=899)
    assert timesteps(sigmas) == [800, 500, 200, 50]
    assert len(sampling_sigmas(SCHEDULE, steps, discard_penultimate=True)) == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"steps": 0}, RequestError, "steps must be a whole number >= 1, got 0"),
        ({"steps": None}, RequestError, "steps"),
        ({"steps": 2.5}, RequestError, "steps"),
        ({"steps": True}, RequestError, "steps"),
        ({"steps": "15"}, RequestError, "steps"),
        ({"steps": []}, RequestError, "at least one"),
        ({"steps": [100, 200]}, RequestError, "must fall"),
        ({"steps": [950, 200], "t_max": 899}, RequestError, "at most 899"),
        ({"steps": 5, "t_max": 1000}, RequestError, "t_max=1000"),
        ({"steps": 5, "t_max": 10, "t_min": 11}, RequestError, "t_min=11"),
        ({"steps": 5, "spacing": "even"}, ConfigError, "spacing must be one of"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        sampling_sigmas(SCHEDULE, **arguments)


def test_numbers_of_numpy():
    assert len(sampling_sigmas(SCHEDULE, np.int64(5))) == 6
