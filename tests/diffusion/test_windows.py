"""Temporal windows: plans that cover, weights that sum to one, and a blend that one window leaves alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.diffusion import (
    Denoiser,
    Guidance,
    LogSNRCosineInterp,
    WindowedDenoiser,
    blend_weights,
    clip_noise,
    clip_noise_sampler,
    plan_key_frame_windows,
    sampling_sigmas,
)
from vrestore.diffusion.windows import BLENDS
from vrestore.errors import ConfigError
from vrestore.layers.windows import sliding_windows
from vrestore.samplers import build_sampler

SCHEDULE = LogSNRCosineInterp()


@given(st.integers(1, 300), st.integers(1, 9))
def test_key_frame_plans_start_at_key_frames(keys, stride):
    frames = (keys - 1) * stride + 1
    windows = plan_key_frame_windows(frames, stride)
    assert windows[-1][1] == frames
    assert all(start % stride == 0 for start, _ in windows)
    assert all((stop - 1) % stride == 0 for _, stop in windows)
    assert len(windows) == 1 or frames > 32
    assert all(stop - start <= 43 for start, stop in windows)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 39), st.sampled_from(BLENDS))
def test_weights_sum_to_one(frames, window, overlap, blend):
    windows = sliding_windows(frames, window, min(overlap, window - 1))
    total = torch.zeros(frames, dtype=torch.float64)
    for (start, stop), weight in zip(windows, blend_weights(windows, blend), strict=True):
        assert weight.shape == (stop - start,)
        assert (weight >= 0).all()
        total[start:stop] += weight
    assert torch.allclose(total, torch.ones(frames, dtype=torch.float64), atol=1e-12)


def test_weights_are_smooth():
    """No frame belongs to one window wholly and its neighbour to another; the official ramp starts with the window."""
    before, after = blend_weights([(0, 10), (6, 16)], "cosine")
    assert before[:6].tolist() == [1.0] * 6
    assert torch.allclose(before[6:], after[:4].flip(0))
    assert (before.diff().abs() < 0.4).all()
    assert blend_weights([(0, 10), (6, 16)], "linear")[1][:5].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_touching_windows_and_more_than_two_at_once():
    assert [w.tolist() for w in blend_weights([(0, 2), (2, 3)])] == [[1, 1], [1]]
    for blend in BLENDS:
        weights = blend_weights([(0, 8), (2, 10), (4, 12)], blend)
        total = torch.zeros(12, dtype=torch.float64)
        for start, weight in zip((0, 2, 4), weights, strict=True):
            total[start : start + 8] += weight
        assert torch.allclose(total, torch.ones(12, dtype=torch.float64))


def network(noised, t, index, bias):
    """Mixes the frames it sees, so that what it gives depends on the window."""
    mixed = noised + 0.3 * noised.mean(2, keepdim=True) + 0.1 * (index >= 0).to(noised.dtype)[:, None, :, None, None]
    return mixed * torch.cos(t.view(-1, 1, 1, 1, 1) / 400) + bias


def denoiser(frames, net=network):
    index = torch.arange(frames)[None] % 3 - 1
    return Denoiser(
        net,
        SCHEDULE,
        {"index": index, "bias": torch.tensor(0.2)},
        guidance=Guidance(3.0, 0.2),
        negative={"bias": torch.tensor(-0.1)},
        frame_axes={"index": 1},
    )


@pytest.mark.parametrize("blend", BLENDS)
def test_one_window_changes_nothing(blend):
    x = 4 * clip_noise(torch.zeros(1, 2, 9, 3, 4), 1, "start")
    whole = denoiser(9)
    windowed = WindowedDenoiser(whole, sliding_windows(9, 32, 8), blend)
    assert torch.equal(windowed(x, 4.0), whole(x, 4.0))
    sigmas = sampling_sigmas(SCHEDULE, 6, t_max=899)
    noise = clip_noise_sampler(x, sigmas, 5, kind="white")
    sample = build_sampler("dpmpp_2m_sde")
    results = [sample(d, x, sigmas, noise_sampler=noise) for d in (whole, windowed)]
    assert torch.equal(*results)


@pytest.mark.parametrize("blend", BLENDS)
def test_frames_in_one_window_are_that_windows(blend):
    x = 4 * clip_noise(torch.zeros(1, 2, 20, 3, 4), 1, "start")
    whole = denoiser(20)
    found = WindowedDenoiser(whole, [(0, 12), (8, 20)], blend)(x, 4.0)
    first, second = whole.window(0, 12)(x[:, :, :12], 4.0), whole.window(8, 20)(x[:, :, 8:], 4.0)
    assert torch.equal(found[:, :, :8], first[:, :, :8])
    assert torch.equal(found[:, :, 12:], second[:, :, 4:])
    low, high = torch.minimum(first[:, :, 8:], second[:, :, :4]), torch.maximum(first[:, :, 8:], second[:, :, :4])
    assert (found[:, :, 8:12] >= low - 1e-5).all()
    assert (found[:, :, 8:12] <= high + 1e-5).all()


@pytest.mark.parametrize("blend", BLENDS)
def test_a_network_that_looks_at_one_frame_cannot_tell(blend):
    """Where windows agree, the blend is what they agree on."""

    def framewise(noised, t, index, bias):
        return torch.tanh(noised) + 0.2 * (index >= 0).to(noised.dtype)[:, None, :, None, None]

    x = 4 * clip_noise(torch.zeros(1, 2, 50, 3, 4), 1, "start")
    whole = denoiser(50, framewise)
    whole.guidance = None
    windowed = WindowedDenoiser(whole, sliding_windows(50, 16, 6), blend)
    assert torch.allclose(windowed(x, 4.0), whole(x, 4.0), atol=1e-5)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "start at frame 0"),
        ([(1, 5)], "start at frame 0"),
        ([(0, 4), (5, 8)], "neither overlaps nor follows"),
        ([(0, 8), (2, 6)], "neither overlaps nor follows"),
        ([(0, 4), (0, 8)], "neither overlaps nor follows"),
        ([(0, 0)], "hold frames"),
    ],
)
def test_refuses_windows_that_do_not_cover(windows, message):
    with pytest.raises(ConfigError, match=message):
        WindowedDenoiser(denoiser(8), windows)


def test_refusals():
    with pytest.raises(ConfigError, match="blend must be one of"):
        blend_weights([(0, 4)], "hard")
    with pytest.raises(ConfigError, match="the windows cover 8 frames, the state has 9"):
        WindowedDenoiser(denoiser(9), [(0, 8)])(torch.zeros(1, 2, 9, 3, 4), 1.0)
    with pytest.raises(ConfigError, match="key-frame windows need"):
        plan_key_frame_windows(40, 0)
    with pytest.raises(ConfigError, match="windows need"):
        plan_key_frame_windows(40, 35)
