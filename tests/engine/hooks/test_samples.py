import pytest
import torch

from vrestore.engine.hooks.samples import SampleImageHook, side_by_side
from vrestore.errors import ConfigError


def clip(frames, size, value=0.0):
    return torch.full((frames, 3, size, size), value)


def test_parts_stand_side_by_side():
    strip = side_by_side(clip(3, 4, 0.25), clip(3, 8, 0.5), clip(3, 8, 0.75))
    assert strip.shape == (3, 8, 24)
    assert [strip[..., x].unique().tolist() for x in (0, 8, 16)] == [[0.25], [0.5], [0.75]]
    assert side_by_side(clip(3, 4), clip(3, 8), None).shape == (3, 8, 16)


def test_frame_and_width_and_range():
    pred = torch.stack([clip(1, 8, v)[0] for v in (-1.0, 0.5, 2.0)])
    assert side_by_side(clip(3, 4), pred, pred)[..., 8].unique().item() == 0.5
    assert side_by_side(clip(3, 4), pred, pred, frame=0)[..., 8].unique().item() == 0.0
    assert side_by_side(clip(3, 4), pred, pred, frame=99)[..., 8].unique().item() == 1.0
    assert side_by_side(clip(3, 4), pred, pred, most_width_px=5).shape == (3, 8, 15)


def test_input_of_a_lower_frame_rate_shows_the_same_time():
    lq = torch.stack([clip(1, 4, v)[0] for v in (0.0, 1.0)])
    strip = side_by_side(lq, clip(4, 8), None, frame=3)
    assert strip[..., 0].unique().item() == 1.0


@pytest.mark.parametrize("frame", [-1, "first"])
def test_frame_is_checked(frame):
    with pytest.raises(ConfigError, match="frame must be 'middle' or a number >= 0"):
        SampleImageHook(frame=frame)
