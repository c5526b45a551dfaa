import math

import numpy as np
import pytest
import torch

from tests.degradations.shares import assert_distribution, assert_shares, assert_uniform
from vrestore.degradations import RandomNoise
from vrestore.degradations.random_fields import normal_field, poisson_field, random_bytes


def test_kinds_and_strengths():
    frames = torch.rand(1, 3, 4, 4)
    drawn = [RandomNoise()(frames, np.random.default_rng(seed))[1] for seed in range(1500)]
    assert_shares([r["kind"] for r in drawn], {"gaussian": 1, "poisson": 1})
    assert_shares([r["gray"] for r in drawn], {True: 0.4, False: 0.6})
    assert_uniform([r["sigma"] for r in drawn if r["kind"] == "gaussian"], 1, 30)
    assert_uniform([r["poisson_scale"] for r in drawn if r["kind"] == "poisson"], 0.05, 3)


def test_strengths_walk():
    for prob, key, step in ((1, "sigma", 0.1), (0, "poisson_scale", 0.005)):
        _, record = RandomNoise(gaussian_prob=prob)(torch.rand(12, 3, 4, 4), np.random.default_rng(0))
        assert 0 < np.abs(np.diff(record[key])).max() <= step + 2e-6


def test_normal_values():
    values = normal_field((40, 50, 50), np.random.default_rng(0)).double().numpy()
    assert_distribution(values.ravel(), lambda v: 0.5 * (1 + torch.special.erf(torch.from_numpy(v / 2**0.5)).numpy()))
    assert values.std() == pytest.approx(1, abs=0.01)
    flat = values.reshape(40, -1)
    assert np.abs(np.corrcoef(flat)[np.triu_indices(40, 1)]).max() < 0.1  # frames share nothing
    assert np.corrcoef(values[:, :, 1:].ravel(), values[:, :, :-1].ravel())[0, 1] == pytest.approx(0, abs=0.015)


@pytest.mark.parametrize(("level", "photons"), [(0, 256), (1, 256), (12, 256), (128, 128), (255, 256), (200, 4)])
def test_photons_are_counted_by_poisson(level, photons):
    expected = level / 255 * photons
    levels = torch.full((1, 1, 200, 200), level, dtype=torch.uint8)
    errors = poisson_field(levels, photons, np.random.default_rng(level)).double().numpy().ravel()
    counts = errors * photons + expected
    assert np.abs(counts - counts.round()).max() < 1e-3
    counts = counts.round().astype(int)
    assert counts.min() >= 0
    if level == 0:
        assert counts.max() == 0
        return
    weights = {k: math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in range(counts.max() + 1)}
    common = {k: w for k, w in weights.items() if w * len(counts) >= 8}
    low, high = min(common), max(common)
    clipped = counts.clip(low, high)  # the tails count with the last common values
    common[low] += sum(w for k, w in weights.items() if k < low)
    common[high] += 1 - sum(w for k, w in weights.items() if k <= high)
    assert_shares(clipped, common)


def test_gaussian_noise_has_its_strength_in_every_frame():
    noise = RandomNoise(gaussian_prob=1, gray_prob=0, sigma=(4, 20), sigma_step=2)
    frames = torch.full((6, 3, 120, 120), 0.5)
    out, record = noise(frames, np.random.default_rng(3))
    measured = (out - frames).flatten(1).std(1) * 255
    assert np.allclose(measured, record["sigma"], rtol=0.02)
    assert (out - frames).mean().abs() < 2e-3


def test_poisson_noise_grows_with_the_light():
    ramp = torch.arange(256).float().repeat(200, 1)[None, None].expand(2, 3, -1, -1) / 255  # uses all 256 levels
    noise = RandomNoise(gaussian_prob=0, gray_prob=0, poisson_scale=0.5)
    out, _ = noise(ramp, np.random.default_rng(3))
    for level in (20, 60, 120):
        measured = (out - ramp)[..., level - 3 : level + 4].std()
        assert measured == pytest.approx(0.5 * math.sqrt(level / 255 / 256), rel=0.05)
    dark, _ = noise(torch.zeros(1, 3, 20, 20), np.random.default_rng(0))
    assert not dark.any()


@pytest.mark.parametrize("prob", [0, 1])
def test_gray_noise_is_shared_by_the_channels(prob):
    frames = 0.4 + 0.2 * torch.rand(2, 3, 30, 30)
    for gray, shared in ((1, True), (0, False)):
        out, record = RandomNoise(gaussian_prob=prob, gray_prob=gray, sigma=5, poisson_scale=0.3)(
            frames, np.random.default_rng(0)
        )
        noise = out - frames
        assert torch.allclose(noise[:, 0], noise[:, 1], atol=1e-6) == shared == record["gray"]
        assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_are_numpys_own(seed):
    """Also after a draw that leaves half of a word waiting, and so is what is drawn next."""
    mine, numpys = np.random.default_rng(seed), np.random.default_rng(seed)
    for count in (1, 2, 4, 7, 8, 1000, 1001):
        assert mine.integers(0, 10, size=seed % 3).tolist() == numpys.integers(0, 10, size=seed % 3).tolist()
        assert bytes(memoryview(random_bytes(count, mine)).cast("B"))[:count] == numpys.bytes(count)
        assert mine.bit_generator.state == numpys.bit_generator.state


def test_random_bytes_of_another_generator():
    mine, numpys = (np.random.Generator(np.random.Philox(3)) for _ in range(2))
    assert bytes(random_bytes(9, mine)) == numpys.bytes(9)
