import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.degradations.shares import assert_shares, assert_uniform
from vrestore.degradations import Compose, RandomResize, ResizeTo
from vrestore.degradations.random_resize import resize


@pytest.fixture(scope="module")
def drawn():
    frames = torch.rand(1, 1, 8, 8)
    return [RandomResize()(frames, np.random.default_rng(seed))[1] for seed in range(1500)]


def test_modes_filters_and_factors(drawn):
    assert_shares([r["mode"] for r in drawn], {"up": 0.2, "down": 0.7, "keep": 0.1})
    assert_shares([r["op"] for r in drawn], dict.fromkeys(("bilinear", "area", "bicubic"), 1))
    assert_uniform([r["factor"] for r in drawn if r["mode"] == "up"], 1, 1.5)
    assert_uniform([r["factor"] for r in drawn if r["mode"] == "down"], 0.15, 1)
    assert {r["factor"] for r in drawn if r["mode"] == "keep"} == {1}


def test_one_even_size_for_the_clip_and_a_factor_that_walks():
    random_resize = RandomResize(modes="down", ops="bilinear")
    frames = torch.rand(9, 3, 41, 60).double()  # which go through PyTorch's filters
    out, record = random_resize(frames, np.random.default_rng(1))
    factors = record["factor"]
    assert 0 < np.abs(np.diff(factors)).max() <= 0.015 + 2e-6
    height, width = (int(side * factors[0]) // 2 * 2 for side in (41, 60))
    assert out.shape == (9, 3, height, width)
    assert record["scale"] == 41 / height
    own = [tuple(int(side * f) // 2 * 2 for side in (41, 60)) for f in factors]
    for t, size in enumerate(own):
        expected = F.interpolate(frames[t : t + 1], size=size, mode="bilinear")
        expected = F.interpolate(expected, size=(height, width), mode="bilinear")
        torch.testing.assert_close(out[t : t + 1], expected)


@pytest.mark.parametrize("op", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(7, 90), (64, 40), (17, 17), (120, 5)])
def test_the_quick_filters_equal_pytorchs(op, size):
    frames = torch.rand(2, 3, 33, 47)
    quick = resize(frames, size, op)
    torch.testing.assert_close(quick, F.interpolate(frames, size=size, mode=op), rtol=0, atol=3e-5)
    assert torch.equal(resize(frames.transpose(0, 1)[:3], size, op), quick.transpose(0, 1)[:3])  # any memory layout
    exact = resize(frames.double(), size, op)
    assert torch.equal(exact, F.interpolate(frames.double(), size=size, mode=op))


def test_any_size_without_even():
    out, record = RandomResize(modes="up", even=False, step=0)(torch.rand(2, 3, 15, 21), np.random.default_rng(4))
    assert out.shape[-2:] == (round(15 * record["factor"]), round(21 * record["factor"]))


@pytest.mark.parametrize("op", ["bilinear", "area", "bicubic", "nearest"])
def test_a_still_clip_stays_still(op):
    still = torch.rand(1, 3, 24, 24).expand(5, -1, -1, -1)
    out, _ = RandomResize(step=0, ops=op)(still, np.random.default_rng(2))
    assert all(torch.equal(frame, out[0]) for frame in out)


@pytest.mark.parametrize("scale", [2, 4, 1.5])
def test_the_final_size_goes_by_the_clean_clip(scale):
    chain = Compose([RandomResize(), RandomResize(), ResizeTo(scale)])
    assert chain.scale == scale
    assert not chain.draws_size
    for seed in range(5):
        out, record = chain(torch.rand(3, 3, 24, 36), np.random.default_rng(seed))
        assert out.shape == (3, 3, 24 / scale, 36 / scale)
        assert record["scale"] == scale
    # A chain within a chain goes by the outermost clean clip.
    nested, record = Compose([RandomResize(), Compose([ResizeTo(scale)])])(
        torch.rand(3, 3, 24, 36), np.random.default_rng(0)
    )
    assert nested.shape == (3, 3, 24 / scale, 36 / scale)
    assert record["scale"] == scale
    assert ResizeTo(scale)(torch.rand(1, 3, 24, 36), np.random.default_rng(0))[0].shape[-1] == 36 / scale


def test_a_chain_that_ends_in_a_drawn_size_says_so():
    assert Compose([ResizeTo(2), RandomResize()]).draws_size
    assert RandomResize().draws_size
    assert not ResizeTo(2).draws_size


def test_the_filter_of_the_final_size_has_its_shares():
    for ops, shares in ((None, dict.fromkeys(("bilinear", "area", "bicubic"), 1)), ({"area": 3, "nearest": 1},) * 2):
        resize = ResizeTo(2) if ops is None else ResizeTo(2, ops)
        drawn = [resize(torch.rand(1, 3, 4, 4), np.random.default_rng(seed))[1]["op"] for seed in range(600)]
        assert_shares(drawn, shares)
