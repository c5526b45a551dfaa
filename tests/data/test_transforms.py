import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.data.transforms import ClipTransform, RandomCrop, RandomFlip, RandomReverse, RandomTranspose
from vrestore.errors import ConfigError, DataError
from vrestore.registry import TRANSFORMS


def numbered(t=3, h=10, w=14):
    return {"hq": torch.arange(t * 3 * h * w).reshape(t, 3, h, w), "clip": "some clip"}


@settings(max_examples=40, deadline=None)
@given(h=st.integers(1, 10), w=st.integers(1, 14), seed=st.integers(0, 2**31))
def test_crop_is_the_noted_window(h, w, seed):
    whole = numbered()["hq"]
    sample = RandomCrop((h, w))(numbered(), np.random.default_rng(seed))
    top, left = sample["source"]["top"], sample["source"]["left"]
    assert torch.equal(sample["hq"], whole[..., top : top + h, left : left + w])
    assert sample["hq"].shape[-2:] == (h, w)


def test_crop_reaches_every_place():
    rng = np.random.default_rng(0)
    places = {tuple(RandomCrop((9, 13))(numbered(), rng)["source"].values()) for _ in range(60)}
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_crop_larger_than_the_clip():
    with pytest.raises(DataError, match="cannot cut 20x4 from some clip of 14x10"):
        RandomCrop((4, 20))(numbered(), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="whole number of pixels"):
        RandomCrop(0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_turns_are_the_noted_ones(seed):
    rng = np.random.default_rng(seed)
    sample = numbered()
    for turn in (RandomReverse(), RandomFlip(), RandomTranspose()):
        sample = turn(sample, rng)
    expected, noted = numbered()["hq"], sample["source"]
    expected = expected.flip(0) if noted["reversed"] else expected
    expected = expected.flip(-1) if noted["flip_horizontal"] else expected
    expected = expected.flip(-2) if noted["flip_vertical"] else expected
    expected = expected.transpose(-1, -2) if noted["transposed"] else expected
    assert torch.equal(sample["hq"], expected)


def test_all_eight_orientations_are_reached():
    rng = np.random.default_rng(1)
    square = {"hq": torch.arange(9).reshape(1, 1, 3, 3)}
    seen = set()
    for _ in range(200):
        seen.add(tuple(RandomTranspose()(RandomFlip()(dict(square), rng), rng)["hq"].flatten().tolist()))
    assert len(seen) == 8


@pytest.mark.parametrize("kind", [RandomFlip, RandomTranspose, RandomReverse])
def test_probabilities(kind):
    rng = np.random.default_rng(0)
    never, always = kind(prob=0)(numbered(), rng), kind(prob=1)(numbered(), rng)
    assert torch.equal(never["hq"], numbered()["hq"])
    assert not torch.equal(always["hq"], numbered()["hq"])
    with pytest.raises(ConfigError, match="prob must be from 0 to 1"):
        kind(prob=1.5)


def test_no_vertical_flips_on_request():
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert not RandomFlip(vertical=False)(numbered(), rng)["source"]["flip_vertical"]


def test_registered_by_their_names():
    assert isinstance(TRANSFORMS.build({"type": "RandomCrop", "size": 4}), RandomCrop)
    for name in ("RandomFlip", "RandomTranspose", "RandomReverse"):
        assert isinstance(TRANSFORMS.build({"type": name}), ClipTransform)
