import pytest
import torch
from mmengine.registry import FUNCTIONS

from vrestore.data import clip_collate
from vrestore.errors import DataError


def sample(name, t=3, h=8, w=12, hq=True):
    clean = torch.rand(t, 3, 4 * h, 4 * w) if hq else None
    return {"lq": torch.rand(t, 3, h, w), "hq": clean, "record": {"scale": 4}, "clip": name}


def test_stacks_clips_and_lists_the_rest():
    samples = [sample("a"), sample("b")]
    batch = clip_collate(samples)
    assert batch["lq"].shape == (2, 3, 3, 8, 12)
    assert batch["hq"].shape == (2, 3, 3, 32, 48)
    assert torch.equal(batch["lq"][1], samples[1]["lq"])
    assert batch["clip"] == ["a", "b"]
    assert batch["record"] == [{"scale": 4}, {"scale": 4}]


def test_clips_without_clean_partners():
    assert clip_collate([sample("a", hq=False)])["hq"] is None


def test_unlike_clips_are_named():
    with pytest.raises(DataError, match=r"'lq' clips of a batch must have one shape.*a: 3x3x8x12, b: 3x3x9x12"):
        clip_collate([sample("a"), sample("b", h=9)])
    with pytest.raises(DataError, match="b: none"):
        clip_collate([sample("a"), sample("b", hq=False)])
    with pytest.raises(DataError, match="at least one sample"):
        clip_collate([])


def test_found_by_the_runner():
    assert FUNCTIONS.get("clip_collate") is clip_collate


def test_ragged_clips_are_listed():
    samples = [{"lq": torch.rand(n, 3, 4, 4), "hq": torch.rand(3, 3, 8, 8), "clip": str(n)} for n in (1, 2)]
    batch = clip_collate(samples, ragged=["lq"])
    assert [len(clip) for clip in batch["lq"]] == [1, 2]
    assert batch["hq"].shape == (2, 3, 3, 8, 8)
    with pytest.raises(DataError):
        clip_collate(samples)
