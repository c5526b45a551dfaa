"""PSNR: its definition, its protocol and what it refuses."""

import math

import pytest
import torch

from tests.evaluation.parts import moving_clip
from vrestore.errors import ConfigError, EvaluationError, NotMeasuredError
from vrestore.evaluation import PSNR


def test_a_known_error_gives_the_known_value():
    hq = torch.full((2, 3, 16, 16), 100 / 255)
    pred = torch.full((2, 3, 16, 16), 104 / 255)
    assert PSNR("RGB").score(pred, hq) == pytest.approx([10 * math.log10(255**2 / 16)] * 2)
    luma_step = 4 * (65.481 + 128.553 + 24.966) / 255
    assert PSNR("Y").score(pred, hq) == pytest.approx([10 * math.log10(255**2 / luma_step**2)] * 2, rel=1e-5)


def test_values_are_rounded_to_8_bit_and_not_truncated():
    hq = torch.full((1, 3, 16, 16), 100 / 255)
    almost = torch.full((1, 3, 16, 16), 99.6 / 255)
    assert PSNR("RGB").score(almost, hq) == [math.inf]
    assert PSNR("RGB").score(torch.full((1, 3, 16, 16), 99.4 / 255), hq) == pytest.approx([10 * math.log10(255**2)])
    assert PSNR("RGB", round_to_uint8=False).score(almost, hq) == pytest.approx(
        [10 * math.log10(255**2 / 0.16)], rel=1e-4
    )


def test_identical_frames_are_infinite():
    clip = moving_clip(0)
    assert PSNR().score(clip, clip) == [math.inf] * len(clip)


def test_the_border_is_left_out():
    hq, pred = torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 20)
    pred[..., :4, :] = 1
    pred[..., -4:] = 1
    assert PSNR("RGB", crop_border=4).score(pred, hq) == [math.inf]
    assert PSNR("RGB", crop_border=3).score(pred, hq)[0] < 20
    with pytest.raises(NotMeasuredError, match="border of 10 pixels leaves nothing"):
        PSNR(crop_border=10).score(pred, hq)


def test_the_name_carries_what_differs_from_the_usual_protocol():
    assert PSNR().name == "PSNR-Y"
    assert PSNR("RGB", crop_border=8, round_to_uint8=False).name == "PSNR-RGB-crop8-float"
    assert PSNR().protocol == {
        "metric": "PSNR",
        "version": 1,
        "frames": "all",
        "resize": "none",
        "colour": "Y of BT.601",
        "crop_border": 0,
        "rounding": "uint8",
        "precision": "float64",
        "identical": "left out of means and counted",
    }


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 32, 30), "the output is 30x32 pixels .* its ground truth 32x32"),
        ((3, 3, 32, 32), r"the output has 3 frame\(s\), its ground truth 4"),
        ((4, 1, 32, 32), r"must be frames \(T, 3, H, W\)"),
        ((4, 3, 0, 32), r"must be frames \(T, 3, H, W\)"),
    ],
)
def test_nothing_is_made_to_fit(shape, message):
    with pytest.raises(EvaluationError, match=message):
        PSNR().score(torch.rand(shape), torch.rand(4, 3, 32, 32))


def test_what_is_not_a_number_is_refused():
    pred = torch.rand(3, 3, 8, 8)
    pred[1, 0, 0, 0] = math.nan
    with pytest.raises(EvaluationError, match=r"not numbers .* in frame\(s\) \[1\]"):
        PSNR().score(pred, torch.rand(3, 3, 8, 8))
    with pytest.raises(EvaluationError, match="floating point"):
        PSNR().score(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.rand(1, 3, 8, 8))


def test_without_ground_truth_it_is_not_measured():
    with pytest.raises(NotMeasuredError, match="compares with a ground truth"):
        PSNR().score(torch.rand(1, 3, 8, 8), None)


def test_a_frame_scores_the_same_alone_and_in_a_clip():
    hq = moving_clip(1)
    pred = (hq + 0.05 * torch.randn(hq.shape)).clamp(0, 1)
    assert PSNR().score(pred, hq) == [PSNR().score(pred[t : t + 1], hq[t : t + 1])[0] for t in range(len(hq))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"convert_to": "y"}, "convert_to must be one of RGB, Y"),
        ({"crop_border": -1}, "crop_border must be a whole number"),
        ({"crop_border": 1.5}, "crop_border must be a whole number"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message):
    with pytest.raises(ConfigError, match=message):
        PSNR(**arguments)


def test_key_frames_can_be_measured_alone():
    hq = moving_clip(0, frames=5)
    pred = hq.clone()
    pred[1::2] = 0
    pred[::2] = (pred[::2] + 0.1).clamp(0, 1)
    every, all_of_them = PSNR(every=2).score(pred, hq), PSNR().score(pred, hq)
    assert every[::2] == all_of_them[::2]
    assert all(math.isnan(value) for value in every[1::2])
    assert PSNR(every=2).name == "PSNR-Y-every2"
    assert PSNR(every=2).protocol["frames"] == "every 2 frames, from the first"
    with pytest.raises(ConfigError, match="every must be a whole number of frames >= 1"):
        PSNR(every=0)
