import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vrestore.data import BundledClips
from vrestore.data.benchmarks.bundled import PHOTOS, _photo, _photo_folder
from vrestore.data.benchmarks.camera import CameraPath, film, plan_path
from vrestore.degradations import imresize
from vrestore.errors import ConfigError

pytest.importorskip("skimage")


@settings(max_examples=60, deadline=None)
@given(
    photo=st.tuples(st.integers(60, 900), st.integers(60, 900)),
    frame=st.tuples(st.integers(16, 300), st.integers(16, 300)),
    n_frames=st.integers(1, 60),
    seed=st.integers(0, 10**6),
)
@example(photo=(303, 79), frame=(216, 56), n_frames=2, seed=0)
def test_the_camera_never_leaves_the_photograph_nor_enlarges_it(photo, frame, n_frames, seed):
    try:
        path = plan_path(photo, frame, n_frames, np.random.default_rng(seed))
    except ConfigError:
        turned = math.radians(3)  # the most that it turns; narrow frames need room for it
        sides = [a * math.cos(turned) + b * math.sin(turned) + 2 for a, b in (frame, frame[::-1])]
        assert min(there / side for there, side in zip(photo, sides, strict=True)) < 1.15
        return
    assert len(path) == n_frames
    assert (path.zoom >= 1 - 1e-12).all()
    for corner_y in (-0.5, 0.5):
        for corner_x in (-0.5, 0.5):
            u, v = corner_x * frame[1] * path.zoom, corner_y * frame[0] * path.zoom
            x = path.x + u * np.cos(path.angle) - v * np.sin(path.angle)
            y = path.y + u * np.sin(path.angle) + v * np.cos(path.angle)
            assert (x >= 0).all()
            assert (x <= photo[1]).all()
            assert (y >= 0).all()
            assert (y <= photo[0]).all()


def test_the_camera_moves_smoothly_by_fractions_of_a_pixel():
    path = plan_path((512, 512), (192, 256), 40, np.random.default_rng(2))
    steps = np.hypot(np.diff(path.x), np.diff(path.y)) / path.zoom[1:]
    assert 0.3 < steps.mean() < 3
    assert np.abs(np.diff(path.x, n=2) / path.zoom[1:-1]).max() < 0.5
    assert np.ptp(path.angle) > 0
    assert np.abs(path.angle).max() <= math.radians(3)


def still(photo, size, zoom, angle=0.0, dx=0.0):
    one = np.ones(1)
    path = CameraPath(one * photo.shape[-1] / 2 + dx, one * photo.shape[-2] / 2, one * zoom, one * angle)
    return film(photo, path, size)[0].float() / 255


def test_a_still_camera_sees_the_photograph_shrunk_without_aliasing():
    photo = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    photo = imresize(imresize(photo, scale=0.25), size=(64, 96)).clamp(0, 1)
    assert (still(photo, (64, 96), 1.0) - photo).abs().max() < 0.02
    assert (still(photo, (32, 48), 2.0) - imresize(photo, scale=0.5))[..., 2:-2, 2:-2].abs().max() < 0.02
    assert torch.allclose(still(photo, (64, 96), 1.0, angle=math.pi), photo.flip(-1, -2), atol=0.02)
    stripes = (torch.arange(96) % 2).float().expand(3, 64, 96)  # finer than a frame's pixels: must come out grey
    assert (still(stripes, (16, 24), 4.0) - 0.5)[..., 2:-2].abs().max() < 0.03


def test_a_shift_of_half_a_pixel():
    ramp = torch.linspace(0, 1, 96).expand(3, 64, 96)
    moved = still(ramp, (32, 32), 1.0, dx=0.5) - still(ramp, (32, 32), 1.0)
    assert torch.allclose(moved.mean(), torch.tensor(0.5 / 95), atol=1e-3)


def test_clips_and_their_seeds():
    data = BundledClips(photos=["cat", "coffee"], n_frames=3, size=(64, 96))
    assert data.clips == ["cat", "coffee"]
    assert "simulated camera" in data.name
    assert data.degradation_name == "BIx4"
    sample = data[0]
    assert sample["hq"].shape == (3, 3, 64, 96)
    assert sample["lq"].shape == (3, 3, 16, 24)
    assert sample["fps"] == 24
    assert not torch.equal(sample["hq"][0], sample["hq"][1])
    assert torch.equal(sample["hq"], (sample["hq"] * 255).round() / 255)
    again = BundledClips(photos=["cat"], n_frames=3, size=(64, 96))[0]
    assert torch.equal(again["hq"], sample["hq"])
    other = BundledClips(photos=["cat"], n_frames=3, size=(64, 96), seed=1)[0]
    assert not torch.equal(other["hq"], sample["hq"])


def test_every_photograph_is_there_and_large_enough():
    for file in PHOTOS.values():
        photo = _photo(_photo_folder() / file)
        assert photo.shape[0] == 3
        assert photo.std() > 0.05
    assert BundledClips(photos=list(PHOTOS)).clips == list(PHOTOS)


def test_bad_arguments():
    with pytest.raises(ConfigError, match="unknown photographs dog; choose of astronaut, cat"):
        BundledClips(photos=["dog"])
    with pytest.raises(ConfigError, match="n_frames must be a whole number >= 1"):
        BundledClips(n_frames=0)
    with pytest.raises(ConfigError, match=r"frames of 900x800 are too large for a photograph"):
        BundledClips(size=(800, 900))
