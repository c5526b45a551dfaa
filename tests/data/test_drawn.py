import pytest
import torch

from vrestore.data.benchmarks.drawn import DrawnClips, draw_frame
from vrestore.errors import ConfigError


def test_a_drawn_clip_is_the_same_everywhere():
    sample = DrawnClips(n_frames=3, size=(32, 40))[0]
    assert sample["hq"].shape == (3, 3, 32, 40)
    assert sample["lq"].shape == (3, 3, 8, 10)
    assert torch.equal(sample["hq"], DrawnClips(n_frames=3, size=(32, 40))[0]["hq"])
    assert torch.equal(sample["hq"][1], draw_frame(32, 40, 1).mul(255).round().div(255))
    assert not torch.equal(sample["hq"][0], sample["hq"][1])
    assert 0 <= sample["hq"].min() < 0.3
    assert 0.7 < sample["hq"].max() <= 1


def test_degraded_in_time_too():
    data = DrawnClips(n_frames=3, size=32, degradation={"type": "Identity"}, time_step=2)
    sample = data[0]
    assert data.degradation_name == "Identity, 1 of 2 frames"
    assert len(sample["hq"]) == 6
    assert torch.equal(sample["lq"], sample["hq"][::2])
    assert torch.equal(sample["hq"][::2], DrawnClips(n_frames=3, size=32, degradation={"type": "Identity"})[0]["hq"])


@pytest.mark.parametrize("wrong", [{"n_frames": 0}, {"time_step": 1.5}, {"n_frames": True}])
def test_wrong_arguments(wrong):
    with pytest.raises(ConfigError, match=f"DrawnClips: {next(iter(wrong))} must be a whole number >= 1"):
        DrawnClips(**wrong)
