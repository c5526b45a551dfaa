"""tOF: the distance of motions."""

import math

import pytest
import torch

from tests.evaluation.parts import moving_clip
from vrestore.errors import ConfigError, EvaluationError, NotMeasuredError
from vrestore.evaluation import TOF


def test_equal_clips_have_the_same_motion():
    clip = moving_clip(0, frames=3)
    values = TOF().score(clip, clip)
    assert math.isnan(values[0])
    assert values[1:] == [0.0, 0.0]


def test_a_still_clip_is_the_further_the_more_its_ground_truth_moves():
    found = []
    for step in (0, 1, 2, 3):
        clip = moving_clip(0, frames=2, height=128, width=160, step_px=(0, step))
        still = clip[:1].expand(2, -1, -1, -1)
        found.append(TOF().score(still, clip)[1])
    assert found[0] == 0
    assert found == sorted(found)
    assert all(step / 2 < distance < step for step, distance in zip((1, 2, 3), found[1:], strict=True))


def test_blended_frames_move_less_well_than_true_ones_but_light_and_contrast_cost_little():
    clip = moving_clip(1, frames=5, height=128, width=160, step_px=(2, 3))
    blended = clip.clone()
    blended[1::2] = (clip[:-1:2] + clip[2::2]) / 2
    darker = clip * 0.9
    worse, dark = (sum(TOF().score(other, clip)[1:]) for other in (blended, darker))
    assert worse > 3 * dark
    assert not TOF.higher_is_better


def test_what_cannot_be_compared_is_refused():
    clip = moving_clip(0, frames=2)
    with pytest.raises(NotMeasuredError, match="ground truth"):
        TOF().score(clip, None)
    with pytest.raises(NotMeasuredError, match="one frame"):
        TOF().score(clip[:1], clip[:1])
    with pytest.raises(EvaluationError, match="frame"):
        TOF().score(clip, clip[:1])
    with pytest.raises(NotMeasuredError, match="leaves nothing"):
        TOF(crop_border=32).score(clip, clip)
    with pytest.raises(ConfigError, match="crop_border"):
        TOF(crop_border=-1)


def test_the_name_and_the_protocol_say_what_differs():
    assert TOF().name == "tOF"
    assert TOF(crop_border=4).name == "tOF-Y-crop4"
    assert "Farneback" in TOF().protocol["flow"]
    assert TOF().protocol["crop_border"] == 0


def test_it_takes_half_precision():
    clip = moving_clip(0, frames=2)
    assert TOF().score(clip.half(), clip)[1] < 0.05
    assert torch.isfinite(torch.tensor(TOF().score(clip.half(), clip)[1]))
