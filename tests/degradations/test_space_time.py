import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.degradations.shares import assert_distribution, assert_shares, assert_uniform
from vrestore.degradations import Chance, Compose, Quantise, SpaceTimeDown


@pytest.fixture(scope="module")
def drawn():
    frames = torch.rand(9, 1, 8, 8)
    return [SpaceTimeDown()(frames, np.random.default_rng(seed))[1] for seed in range(3000)]


def test_a_scale_is_drawn_in_proportion_to_itself(drawn):
    scales = np.array([r["downscale"] for r in drawn])
    assert_distribution(scales, lambda s: (s**2 - 1) / 63)
    # The paper's own words: x4 and x8 in the ratio of 1 to 2.
    assert_shares(
        [abs(s - 7.75) < 0.25 for s in scales if min(abs(s - 7.75), abs(s - 3.875)) < 0.25], {True: 2, False: 1}
    )


def test_strides_and_noise_levels_are_uniform(drawn):
    assert_shares([r["key_frame_stride"] for r in drawn], dict.fromkeys(range(1, 9), 1))
    levels = np.array([r["noise_level"] for r in drawn])
    assert levels.min() >= 1
    assert levels.max() <= 300
    assert {1, 300} & set(levels)
    assert_uniform(levels + np.random.default_rng(0).uniform(-0.5, 0.5, len(levels)), 0.5, 300.5)


def test_draws_do_not_hang_together(drawn):
    table = np.array([[r["downscale"], r["key_frame_stride"], r["noise_level"]] for r in drawn])
    assert np.abs(np.corrcoef(table.T)[np.triu_indices(3, 1)]).max() < 0.06


def test_the_degraded_clip_holds_the_key_frames_small():
    frames = torch.rand(13, 3, 40, 64)
    for seed in range(8):
        small, record = SpaceTimeDown()(frames, np.random.default_rng(seed))
        stride, scale = record["key_frame_stride"], record["downscale"]
        assert record["key_frames"] == list(range(0, 13, stride))
        size = (round(40 / scale), round(64 / scale))
        expected = F.interpolate(frames[::stride], size=size, mode="bilinear", align_corners=False)
        assert torch.equal(small, expected)
        assert record["scale"] == scale
        assert (record["frames"], record["size"]) == (13, [40, 64])
        assert json.loads(json.dumps(record)) == record


def test_back_to_the_full_size():
    frames = torch.rand(5, 3, 24, 32)
    full, record = SpaceTimeDown(keep_size=True)(frames, np.random.default_rng(0))
    small, drawn = SpaceTimeDown()(frames, np.random.default_rng(0))
    assert torch.equal(full, F.interpolate(small, size=(24, 32), mode="bilinear", align_corners=False))
    assert record == {**drawn, "scale": 1}


def test_the_clean_clip_is_left_alone_where_nothing_shrinks():
    frames = torch.rand(4, 3, 8, 8)
    before = frames.clone()
    out, _ = SpaceTimeDown(downscale=1, key_frame_stride=1)(frames, np.random.default_rng(0))
    out.zero_()
    assert torch.equal(frames, before)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 8])
def test_short_clips_draw_steps_that_fit(n_frames):
    frames = torch.rand(n_frames, 1, 4, 4)
    strides = {SpaceTimeDown()(frames, np.random.default_rng(s))[1]["key_frame_stride"] for s in range(60)}
    assert strides == set(range(1, max(n_frames, 2)))


def test_whole_intervals_end_on_a_key_frame():
    frames = torch.rand(13, 1, 4, 4)
    degrade = SpaceTimeDown(whole_intervals=True)
    records = [degrade(frames, np.random.default_rng(s))[1] for s in range(400)]
    assert all(r["key_frames"][-1] == 12 for r in records)
    assert_shares([r["key_frame_stride"] for r in records], dict.fromkeys((1, 2, 3, 4, 6), 1))


def test_a_chain_hands_the_conditions_on():
    chain = Compose([Chance(SpaceTimeDown(), prob=1), Quantise()])
    assert chain.draws_size
    _, record = chain(torch.rand(9, 3, 16, 16), np.random.default_rng(1))
    own = record["steps"][0]["step"]
    for key in ("downscale", "key_frame_stride", "key_frames", "noise_level", "frames", "size"):
        assert record[key] == own[key]
    assert record["scale"] == own["scale"]
