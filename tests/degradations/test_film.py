"""Old footage: grain, fields, unsteady light and colour, lost frames."""

import numpy as np
import pytest
import torch

from tests.degradations.shares import assert_distribution, assert_shares, assert_uniform
from vrestore.degradations import ColourDrift, FilmGrain, Flicker, FrameDrop, Interlace


def rng(seed=0):
    return np.random.default_rng(seed)


def records(degradation, frames, count):
    return [degradation(frames, rng(seed))[1] for seed in range(count)]


def normal(values):
    return 0.5 * (1 + torch.special.erf(torch.from_numpy(values / 2**0.5)).numpy())


# --- grain


def test_grain_is_strongest_in_the_mid_tones():
    levels = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    frames = levels.view(-1, 1, 1, 1).expand(-1, 3, 150, 150)
    grain = FilmGrain(strength=8, size=1, colour_prob=1)
    out, _ = grain(frames, rng())
    measured = (out - frames).flatten(1).std(1) * 255
    assert measured[2] == pytest.approx(8, rel=0.05)
    assert measured[1] == pytest.approx(8 * 4 * 0.1 * 0.9, rel=0.05)
    assert measured[0] == 0
    assert measured[4] < 1e-3


def test_grain_clumps_by_its_size_and_is_new_in_every_frame():
    flat = torch.full((2, 3, 120, 120), 0.5)

    def likeness(size):  # of neighbouring pixels
        noise = FilmGrain(strength=8, size=size, colour_prob=0)(flat, rng())[0] - flat
        return float(np.corrcoef(noise[..., 1:].flatten(), noise[..., :-1].flatten())[0, 1])

    for size in (0.6, 1.2, 2.0):  # smoothing noise by a Gaussian gives this correlation at a distance of 1
        assert likeness(size) == pytest.approx(np.exp(-1 / (4 * size**2)), abs=0.06)
    noise = FilmGrain(strength=8, size=1, colour_prob=0)(flat, rng())[0] - flat
    assert torch.allclose(noise[:, 0], noise[:, 1], atol=1e-6)
    assert abs(np.corrcoef(noise[0].flatten(), noise[1].flatten())[0, 1]) < 0.05


def test_grain_is_drawn_uniformly():
    drawn = records(FilmGrain(), torch.rand(1, 3, 4, 4), 600)
    assert_uniform([r["strength"] for r in drawn], 3, 15)
    assert_uniform([r["size"] for r in drawn], 0.4, 1.2)
    assert_shares([r["colour"] for r in drawn], {True: 1, False: 1})


# --- fields


@pytest.mark.parametrize("top_first", [True, False])
def test_fields_come_from_two_moments(top_first):
    frames = torch.rand(4, 3, 8, 6)
    out, record = Interlace("none", top_first_prob=float(top_first))(frames, rng())
    first, second = (0, 1) if top_first else (1, 0)
    assert record == {"name": "Interlace", "scale": 1, "top_first": top_first, "deinterlacer": "none"}
    assert torch.equal(out[:, :, first::2], frames[:, :, first::2])
    assert torch.equal(out[:-1, :, second::2], frames[1:, :, second::2])
    assert torch.equal(out[-1], frames[-1])


def test_deinterlacers():
    frames = torch.rand(5, 1, 8, 6)
    woven, _ = Interlace("none", 1)(frames, rng())
    linear, _ = Interlace("linear", 1)(frames, rng())
    assert torch.equal(linear[:, :, ::2], frames[:, :, ::2])
    torch.testing.assert_close(linear[:, :, 1:-1:2], (frames[:, :, 0:-2:2] + frames[:, :, 2::2]) / 2)
    bob, _ = Interlace("bob", 1)(frames, rng())
    assert torch.equal(bob[0::2], linear[0::2])
    assert torch.equal(bob[1::2, :, 1::2], woven[1::2, :, 1::2])
    blend, _ = Interlace("blend", 1)(frames, rng())
    torch.testing.assert_close(blend[:, :, 1:-1], (woven[:, :, :-2] + 2 * woven[:, :, 1:-1] + woven[:, :, 2:]) / 4)


@pytest.mark.parametrize("method", ["none", "blend", "linear", "bob"])
def test_a_still_flat_picture_survives_every_deinterlacer(method):
    smooth = torch.linspace(0, 1, 20).view(1, 1, 1, 20).expand(4, 3, 16, 20)
    out, _ = Interlace(method)(smooth, rng())
    torch.testing.assert_close(out, smooth)
    assert Interlace(method)(torch.rand(1, 3, 1, 1), rng())[0].shape == (1, 3, 1, 1)


def test_interlacing_is_drawn_by_its_shares():
    drawn = records(Interlace(dict(none=0.5, bob=0.5), top_first_prob=0.7), torch.rand(1, 1, 4, 4), 600)
    assert_shares([r["deinterlacer"] for r in drawn], dict(none=1, bob=1))
    assert_shares([r["top_first"] for r in drawn], {True: 0.7, False: 0.3})


# --- light and colour


def test_flicker_has_its_strength_and_memory():
    frames = torch.full((4000, 1, 1, 1), 0.3)
    out, record = Flicker(strength=0.1, memory=0.5)(frames, rng())
    gain = np.array(record["gain"])
    assert gain.mean() == pytest.approx(1, abs=0.01)
    assert gain.std() == pytest.approx(0.1, rel=0.05)
    assert np.corrcoef(gain[1:], gain[:-1])[0, 1] == pytest.approx(0.5, abs=0.05)
    assert np.allclose(out.flatten(), 0.3 * gain, atol=1e-5)
    assert_uniform([r["strength"] for r in records(Flicker(), torch.rand(2, 1, 1, 1), 500)], 0.02, 0.12)


def test_colours_drift_each_on_its_own():
    frames = torch.full((15, 3, 2, 2), 0.5)
    out, record = ColourDrift(step=0.02)(frames, rng())
    gains = np.array(record["gain"])
    assert gains.shape == (3, 15)
    assert 0 < np.abs(np.diff(gains)).max() <= 0.02 + 2e-6
    assert np.allclose(out[:, :, 0, 0].T, 0.5 * gains, atol=1e-6)
    drawn = records(ColourDrift(step=0), torch.rand(2, 3, 1, 1), 400)
    assert_uniform([gain for r in drawn for gain in r["gain"]], 0.85, 1.15)


# --- lost frames


def numbered(n_frames):
    return torch.arange(n_frames).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2) / n_frames


@pytest.mark.parametrize("fill", ["repeat", "blend", "remove"])
def test_lost_frames_and_what_stands_in_for_them(fill):
    frames = numbered(40)
    out, record = FrameDrop(0.4, fill)(frames, rng(2))
    lost = record["dropped"]
    assert lost
    assert 0 not in lost
    kept = [t for t in range(40) if t not in lost]
    if fill == "remove":
        assert torch.equal(out, frames[kept])
        return
    assert torch.equal(out[kept], frames[kept])
    for t in lost:
        before = max(k for k in kept if k < t)
        after = min((k for k in kept if k > t), default=None)
        if fill == "repeat" or after is None:
            assert torch.equal(out[t], frames[before])
        else:  # numbered frames are linear in time, so that a blend in proportion meets the lost one
            torch.testing.assert_close(out[t], frames[t])


def test_frames_are_lost_with_their_probability():
    drawn = records(FrameDrop((0.2, 0.2)), torch.rand(51, 1, 1, 1), 100)
    assert_shares([t in r["dropped"] for r in drawn for t in range(1, 51)], {True: 0.2, False: 0.8})
    assert_uniform([r["prob"] for r in records(FrameDrop(), torch.rand(1, 1, 1, 1), 500)], 0.05, 0.3)


def test_flicker_deviates_normally():
    frames = torch.full((3000, 1, 1, 1), 0.3)
    gain = np.array(Flicker(strength=0.1, memory=0)(frames, rng())[1]["gain"])
    deviation = torch.from_numpy((gain - 1) / 0.1)
    assert_distribution(deviation.numpy(), normal)


def test_grain_is_normal():
    flat = torch.full((1, 3, 100, 100), 0.5)
    grain = (FilmGrain(strength=8, size=0.4, colour_prob=1)(flat, rng())[0] - flat)[..., ::4, ::4].flatten() * 255 / 8
    assert_distribution(grain.numpy(), normal)
