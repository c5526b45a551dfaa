import math

import numpy as np
import pytest
import torch

from tests.degradations.shares import assert_shares, assert_uniform
from vrestore.degradations import RandomBlur
from vrestore.degradations.blur import KIND_WEIGHTS, KINDS
from vrestore.degradations.filtering import filter_frames, mirrored


def records(blur, count, n_frames=1):
    frames = torch.rand(n_frames, 1, 6, 6)
    return [blur(frames, np.random.default_rng(seed))[1] for seed in range(count)]


@pytest.fixture(scope="module")
def drawn():
    return records(RandomBlur(), 1500)


def test_kinds_and_sizes_have_their_shares(drawn):
    assert_shares([r["kind"] for r in drawn], KIND_WEIGHTS)
    assert_shares([r["kernel_size"] for r in drawn], dict.fromkeys(range(7, 22, 2), 1))


def test_parameters_are_uniform(drawn):
    assert_uniform([r["sigma_x"] for r in drawn if "sigma_x" in r], 0.2, 3)
    assert_uniform([r["sigma_y"] for r in drawn if "sigma_y" in r], 0.2, 3)
    assert_uniform([r["angle"] for r in drawn if "angle" in r], -math.pi, math.pi)
    assert_uniform([r["beta"] for r in drawn if r["kind"].startswith("generalised")], 0.5, 4)
    assert_uniform([r["beta"] for r in drawn if r["kind"].startswith("plateau")], 1, 2)
    for small, low in ((True, math.pi / 3), (False, math.pi / 5)):
        own = [r["omega"] for r in drawn if r["kind"] == "sinc" and (r["kernel_size"] < 13) == small]
        assert_uniform(np.clip(own, low, math.pi), low, math.pi)
        assert min(own) >= low - 1e-6


def test_only_what_a_kind_needs_is_recorded(drawn):
    for record in drawn[:200]:
        kind = record["kind"]
        assert ("sigma_x" in record) == (kind != "sinc")
        assert ("sigma_y" in record) == ("angle" in record) == kind.endswith("aniso")
        assert ("beta" in record) == ("_" in kind)
        assert ("omega" in record) == (kind == "sinc")


def test_exponents_in_halves():
    plain = dict(beta_halves=True, beta_gaussian_step=0, beta_plateau_step=0)
    kinds = dict(generalised_iso=1)
    beta = np.array([r["beta"] for r in records(RandomBlur(kinds=kinds, **plain), 800)])
    assert_shares(beta < 1, {True: 0.5, False: 0.5})
    assert_uniform(beta[beta < 1], 0.5, 1)
    assert_uniform(beta[beta > 1], 1, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_walk_by_their_steps(kind):
    steps = {"sigma_x": 0.02, "sigma_y": 0.02, "angle": 0.31416, "omega": 0.0628}
    steps["beta"] = 0.05 if kind.startswith("generalised") else 0.1
    for record in records(RandomBlur(kinds=kind), 5, n_frames=9):
        walked = {name: record[name] for name in steps if name in record}
        assert walked
        for name, values in walked.items():
            assert 0 < np.abs(np.diff(values)).max() <= steps[name] + 2e-6


@pytest.mark.parametrize("kind", KINDS)
def test_a_still_clip_under_a_still_kernel_stays_still(kind):
    blur = RandomBlur(
        kinds=kind,
        **dict.fromkeys(("sigma_step", "angle_step", "beta_gaussian_step", "beta_plateau_step", "omega_step"), 0),
    )
    still = torch.rand(1, 3, 30, 40).expand(11, -1, -1, -1)
    out, record = blur(still, np.random.default_rng(0))
    assert all(torch.equal(frame, out[0]) for frame in out)
    assert not any(isinstance(value, list) for value in record.values())
    assert out.std() <= still.std()


def test_a_flat_frame_keeps_its_value():
    for seed in range(6):
        out, _ = RandomBlur()(torch.full((2, 3, 20, 20), 0.4), np.random.default_rng(seed))
        assert (out - 0.4).abs().max() < 1e-5


@pytest.mark.parametrize("side", [3, 9, 21])
def test_two_passes_give_what_one_gives(side):
    taps = np.exp(-0.5 * (np.arange(side) - side // 2) ** 2 / np.array([[2.0], [0.7], [1.1]]))
    taps /= taps.sum(1, keepdims=True)
    kernels = taps[:, :, None] * taps[:, None, :]
    frames = torch.rand(3, 3, 26, 31)
    torch.testing.assert_close(filter_frames(frames, kernels, separable=True), filter_frames(frames, kernels))


@pytest.mark.parametrize("side", [3, 5, 7, 9])
@pytest.mark.parametrize("shape", [(3, 3, 21, 34), (2, 1, 2, 3), (1, 3, 1, 1)])
def test_small_kernels_go_through_opencv_and_equal_pytorch(side, shape):
    frames, kernels = torch.rand(shape), np.random.default_rng(side).random((shape[0], side, side))
    quick = filter_frames(frames, kernels)
    torch.testing.assert_close(quick, filter_frames(frames.double(), kernels).float(), rtol=1e-5, atol=1e-5)


def test_borders_are_mirrored_even_where_the_kernel_is_larger_than_the_frame():
    frames = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    expected = np.pad(frames.numpy(), ((0, 0), (0, 0), (10, 10), (10, 10)), mode="reflect")
    assert np.array_equal(mirrored(frames, 10).numpy(), expected)
    assert mirrored(torch.ones(1, 1, 1, 1), 3).shape == (1, 1, 7, 7)


def test_each_frame_has_its_own_kernel():
    frames = torch.rand(20, 1, 15, 15)
    kernels = np.zeros((20, 3, 3))
    kernels[::2, 1, 1] = 1
    kernels[1::2, 1, 2] = 1  # correlation: the pixel to the right
    out = filter_frames(frames, kernels)
    assert torch.equal(out[::2], frames[::2])
    assert torch.equal(out[1::2, :, :, :-1], frames[1::2, :, :, 1:])
