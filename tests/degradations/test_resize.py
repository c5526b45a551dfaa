import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vrestore.degradations import imresize, resize
from vrestore.degradations.resize import KERNELS
from vrestore.errors import RequestError


def clip(t=2, h=24, w=32, dtype=torch.float32, seed=0):
    return torch.rand((t, 3, h, w), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(1, 40),
    w=st.integers(1, 40),
    factor=st.floats(0.05, 4.0),
    kernel=st.sampled_from(["cubic", "linear", "lanczos2", "lanczos3", "box"]),
    antialias=st.booleans(),
)
def test_any_size_and_factor(h, w, factor, kernel, antialias):
    """Sizes follow ceil(side * factor), a constant stays constant, and frames of a batch do not mix."""
    frames = clip(2, h, w, torch.float64)
    resized = imresize(frames, scale=factor, kernel=kernel, antialias=antialias)
    assert resized.shape == (2, 3, int(np.ceil(h * factor)), int(np.ceil(w * factor)))
    assert torch.isfinite(resized).all()
    assert torch.allclose(imresize(torch.ones(h, w).double(), scale=factor, kernel=kernel), torch.ones(()).double())
    assert torch.equal(resized[1], imresize(frames[1], scale=factor, kernel=kernel, antialias=antialias))


@settings(max_examples=40, deadline=None)
@given(h=st.integers(30, 60), w=st.integers(30, 60), height=st.integers(8, 90), width=st.integers(8, 90))
def test_agrees_with_pillow_inside(h, w, height, width):
    """Pillow's bicubic is the same kernel and grid; only its borders differ, so the inside must agree."""
    plane = clip(1, h, w)[0, 0]
    ours = imresize(plane, size=(height, width)).numpy()
    theirs = np.asarray(Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC))
    margin_y, margin_x = (int(np.ceil(2 * max(1, o / i))) + 1 for o, i in ((height, h), (width, w)))
    margin_y, margin_x = max(margin_y, 3), max(margin_x, 3)
    inside = np.s_[margin_y:-margin_y, margin_x:-margin_x]
    if ours[inside].size:
        assert np.abs(ours[inside] - theirs[inside]).max() < 2e-5


def test_lanczos_agrees_with_pillow_inside():
    plane = clip(1, 60, 80)[0, 0]
    for size in ((20, 30), (150, 200)):
        ours = imresize(plane, size=size, kernel="lanczos3").numpy()
        theirs = np.asarray(Image.fromarray(plane.numpy()).resize(size[::-1], Image.Resampling.LANCZOS))
        inside = np.s_[12:-12, 12:-12] if size[0] > 60 else np.s_[4:-4, 4:-4]
        assert np.abs(ours[inside] - theirs[inside]).max() < 2e-5


@settings(max_examples=60, deadline=None)
@given(
    n_in=st.integers(2, 60),
    up=st.integers(1, 16),
    down=st.integers(1, 16),
    kernel=st.sampled_from(["cubic", "linear", "lanczos3"]),
)
def test_slices_and_gathered_samples_give_the_same_values(n_in, up, down, kernel):
    """Factors whose weights repeat take a quicker way, which must not change a value."""
    factor = up / down
    taps = resize._taps.__wrapped__(n_in, int(np.ceil(n_in * factor)), factor, True, kernel)
    line = clip(1, 1, n_in, torch.float64)
    quick = resize._filter(line, -1, taps)
    slow = resize._filter(line, -1, taps._replace(period=0))
    assert quick.shape == slow.shape
    assert torch.allclose(quick, slow, rtol=0, atol=1e-11)


def test_common_factors_take_the_quick_way():
    for factor, period in ((0.25, 1), (1 / 3, 1), (0.5, 1), (2, 2), (4, 4), (1.5, 3), (0.3, 3), (0.7, 7)):
        assert resize._taps(240, int(np.ceil(240 * factor)), factor, True, "cubic").period == period


def test_leading_dimensions_precision_and_gradient():
    frames = clip(2, 16, 20)
    batch = imresize(frames.reshape(1, 2, 3, 16, 20), scale=0.5)
    assert torch.equal(batch[0], imresize(frames, scale=0.5))
    half = imresize(frames.half(), scale=0.5)
    assert half.dtype == torch.float16
    assert (half.float() - imresize(frames, scale=0.5)).abs().max() < 2e-3
    double = clip(1, 5, 7, torch.float64)[0, 0].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: imresize(x, scale=0.4), (double,))


def test_axes_with_unlike_factors():
    frames = clip(1, 16, 20, torch.float64)
    both = imresize(frames, scale=(0.5, 2.0))
    assert both.shape[-2:] == (8, 40)
    one_by_one = imresize(imresize(frames, scale=(0.5, 1.0)), scale=(1.0, 2.0))
    assert torch.allclose(both, one_by_one)
    assert torch.equal(imresize(frames, scale=1), frames)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({}, "either scale or size"),
        ({"scale": 2, "size": (4, 4)}, "either scale or size"),
        ({"scale": 0}, "finite number > 0"),
        ({"scale": float("nan")}, "finite number > 0"),
        ({"size": (0, 4)}, "whole numbers >= 1"),
        ({"scale": 2, "kernel": "sinc"}, "kernel must be one of"),
    ],
)
def test_bad_requests(kwargs, words):
    with pytest.raises(RequestError, match=words):
        imresize(clip(), **kwargs)


def test_refuses_what_holds_no_float_images():
    for bad in (torch.zeros(3, 4, 4, dtype=torch.uint8), torch.zeros(4), torch.zeros(3, 0, 4), [[1.0]]):
        with pytest.raises(RequestError, match="floating point tensor"):
            imresize(bad, scale=2)


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_a_single_pixel_is_repeated(kernel):
    one_pixel = torch.full((1, 3, 1, 1), 0.25)
    torch.testing.assert_close(imresize(one_pixel, scale=2.0, kernel=kernel), torch.full((1, 3, 2, 2), 0.25))
