import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from vrestore.degradations import BlurDown
from vrestore.degradations.blur_down import blur_down, blur_down_matlab
from vrestore.errors import ConfigError, RequestError

RNG = np.random.default_rng(0)


def plane(h, w, seed=0):
    return np.random.default_rng(seed).random((h, w))


@settings(max_examples=40, deadline=None)
@given(h=st.integers(16, 50), w=st.integers(16, 50), scale=st.integers(1, 6), sigma=st.floats(0.3, 2.5))
def test_duf_convention_is_scipys_blur_sampled_at_the_first_pixel(h, w, scale, sigma):
    image = plane(h, w)
    image = image[: h - h % scale, : w - w % scale]
    radius = max(1, int(4 * sigma + 0.5))
    if min(image.shape) <= radius:
        return
    expected = ndimage.gaussian_filter(image, sigma, mode="mirror", radius=radius)[::scale, ::scale]
    assert np.abs(blur_down(torch.from_numpy(plane(h, w)), scale, sigma).numpy() - expected).max() < 1e-12


@settings(max_examples=40, deadline=None)
@given(h=st.integers(8, 40), w=st.integers(8, 40), scale=st.integers(1, 8), sigma=st.floats(0.3, 2.5))
def test_matlab_convention_is_the_published_script(h, w, scale, sigma):
    """The recipe step by step: one square kernel, `imfilter` with repeated edges, then the stated samples."""
    image = plane(h, w)[: h - h % scale, : w - w % scale]
    size = int(np.ceil(3 * sigma)) * 2 + (2 if scale % 2 == 0 else 1)
    axis = np.arange(size) - (size - 1) / 2
    kernel = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    centre = (size + 1) // 2 - 1
    padded = np.pad(image, ((centre, size - 1 - centre),) * 2, mode="edge")
    blurred = (sliding_window_view(padded, (size, size)) * kernel).sum((-1, -2))
    first = scale // 2 - 1 if scale % 2 == 0 else scale // 2
    got = blur_down_matlab(torch.from_numpy(plane(h, w)), scale, sigma).numpy()
    assert np.abs(got - blurred[first::scale, first::scale]).max() < 1e-12


def test_matlab_convention_keeps_the_exception_of_x3():
    image = plane(24, 24)
    axis = np.arange(-3, 4)
    taps = np.exp(-(axis**2) / (2 * 1.6**2))
    taps /= taps.sum()
    blurred = ndimage.correlate(image, np.outer(taps, taps), mode="nearest")
    got = blur_down_matlab(torch.from_numpy(image), 3, 1.6).numpy()
    assert np.abs(got - blurred[1::3, 1::3]).max() < 1e-12


def test_matlab_convention_keeps_a_ramp_on_the_grid_of_block_centres():
    ramp = torch.arange(64.0).double().expand(64, 64)
    inner = blur_down_matlab(ramp, 4, 1.6)[4:-4, 4:-4]
    assert torch.allclose(inner[0], torch.arange(16.0).double()[4:-4] * 4 + 1.5)
    inner = blur_down(ramp, 4, 1.6)[4:-4, 4:-4]
    assert torch.allclose(inner[0], torch.arange(16.0).double()[4:-4] * 4)


def test_record_levels_and_crop():
    frames = torch.rand(2, 3, 42, 51)
    before = frames.clone()
    small, record = BlurDown()(frames, RNG)
    assert torch.equal(frames, before)
    assert small.shape == (2, 3, 10, 12)
    assert torch.equal(small, (small * 255).round() / 255)
    assert json.loads(json.dumps(record)) == {
        "name": "BlurDown",
        "scale": 4,
        "sigma": 1.6,
        "convention": "duf",
        "round_to_8bit": True,
    }
    exact, _ = BlurDown(round_to_8bit=False)(frames, RNG)
    assert (small - exact).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(BlurDown()(frames[..., :40, :48], RNG)[0], small)


def test_protocol_names():
    """The plain name belongs to the convention of the published BDx4 sets; the other one says that it is another."""
    assert BlurDown(convention="matlab").protocol == "BDx4"
    assert BlurDown().protocol == "BDx4-duf"
    assert BlurDown(scale=3).protocol == "BDx3-duf"
    assert BlurDown(sigma=2.0, convention="matlab").protocol == "BDx4-sigma2"


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"scale": 2.5}, "scale must be a whole number >= 1"),
        ({"scale": 0}, "scale must be a whole number >= 1"),
        ({"sigma": 0}, "sigma must be a finite number > 0"),
        ({"sigma": "wide"}, "sigma must be a finite number > 0"),
        ({"convention": "bicubic"}, "convention must be duf or matlab"),
    ],
)
def test_bad_arguments(kwargs, words):
    with pytest.raises(ConfigError, match=words):
        BlurDown(**kwargs)


def test_too_small_frames_say_how_large_they_must_be():
    with pytest.raises(RequestError, match="at least 8 pixels a side, got 40x6"):
        BlurDown()(torch.rand(1, 3, 6, 40), RNG)
    with pytest.raises(RequestError, match="at least 4 pixels a side"):
        BlurDown(convention="matlab")(torch.rand(1, 3, 3, 40), RNG)
    assert BlurDown()(torch.rand(1, 3, 8, 8), RNG)[0].shape == (1, 3, 2, 2)
