import json

import numpy as np
import pytest
import torch

from vrestore.degradations import BicubicDown, imresize
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import DEGRADATIONS


def clip(t=2, h=24, w=32, seed=0):
    return torch.rand((t, 3, h, w), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 2.5, 1.7])
def test_bicubic_down_sizes_levels_and_record(scale):
    frames = clip(2, 30, 41)
    before = frames.clone()
    small, record = DEGRADATIONS.build({"type": "BicubicDown", "scale": scale})(frames, np.random.default_rng(0))
    assert torch.equal(frames, before)
    assert small.shape == (2, 3, int(np.ceil(30 / scale)), int(np.ceil(41 / scale)))
    assert torch.equal(small, (small * 255).round() / 255)
    assert json.loads(json.dumps(record)) == {"name": "BicubicDown", "scale": scale, "round_to_8bit": True}


def test_bicubic_down_rounds_and_clamps():
    frames = (clip(1, 32, 32) > 0.5).float()  # extremes make bicubic overshoot
    exact = imresize(frames, scale=0.25)
    free, record = BicubicDown(4, round_to_8bit=False)(frames, np.random.default_rng(0))
    rounded, _ = BicubicDown(4)(frames, np.random.default_rng(0))
    assert torch.equal(free, exact.clamp(0, 1))
    assert not record["round_to_8bit"]
    assert (rounded - free).abs().max() <= 0.5 / 255 + 1e-6


def test_protocol_names():
    assert BicubicDown(4).protocol == "BIx4"
    assert BicubicDown(2.5).protocol == "BIx2.5"


@pytest.mark.parametrize("scale", [0, 0.5, float("inf"), "4", True, None])
def test_bad_scale(scale):
    with pytest.raises(ConfigError, match=r"BicubicDown.*scale must be a finite number >= 1"):
        BicubicDown(scale)


def test_refuses_8_bit_frames_and_frames_without_time():
    with pytest.raises(RequestError, match="divide 8 bit by 255"):
        BicubicDown()(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), np.random.default_rng(0))
    with pytest.raises(RequestError, match=r"\(T, C, H, W\)"):
        BicubicDown()(torch.zeros(3, 8, 8), np.random.default_rng(0))


def test_long_clips_are_filtered_in_blocks_that_do_not_show():
    frames = clip(t=19)
    whole, _ = BicubicDown(2)(frames, np.random.default_rng(0))
    single = [BicubicDown(2)(frames[i : i + 1], np.random.default_rng(0))[0] for i in range(19)]
    assert torch.equal(whole, torch.cat(single))


def test_8bit_frames_give_the_same_levels_in_either_precision():
    """Also where a weighted sum falls exactly between two levels: x2 has weights of 1/128 and meets many halves."""
    levels = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    for scale in (2, 4):
        single, _ = BicubicDown(scale)(levels.float() / 255, np.random.default_rng(0))
        double, _ = BicubicDown(scale)(levels.double() / 255, np.random.default_rng(0))
        exact = (imresize(levels.double(), scale=1 / scale) + 0.5).floor().clamp(0, 255)
        assert torch.equal((single * 255).round(), exact.float())
        assert torch.equal((double * 255).round(), exact)
