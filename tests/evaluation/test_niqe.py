"""NIQE: what moves it, and where it has no value."""

import math

import pytest
import torch

from tests.evaluation.parts import moving_clip
from vrestore.errors import ConfigError, NotMeasuredError
from vrestore.evaluation import NIQE
from vrestore.evaluation.niqe import pristine_model


def test_noise_makes_it_worse():
    clip = moving_clip(0, frames=1, height=200, width=300)
    noisy = (clip + 0.2 * torch.randn(clip.shape)).clamp(0, 1)
    assert NIQE().score(noisy)[0] > NIQE().score(clip)[0] > 0
    assert not NIQE.higher_is_better


def test_it_needs_two_blocks():
    with pytest.raises(NotMeasuredError, match="two blocks of 96x96 pixels"):
        NIQE().score(torch.rand(1, 3, 191, 191))
    assert math.isfinite(NIQE().score(torch.rand(1, 3, 192, 96))[0])
    with pytest.raises(NotMeasuredError):
        NIQE(crop_border=1).score(torch.rand(1, 3, 192, 96))


def test_a_flat_frame_has_no_value_and_a_flat_block_does_no_harm():
    flat = torch.full((1, 3, 192, 192), 0.5)
    assert math.isnan(NIQE().score(flat)[0])
    partly = moving_clip(0, frames=1, height=288, width=288)
    partly[..., :96, :96] = 0.5
    assert math.isfinite(NIQE().score(partly)[0])


def test_the_protocol_names_the_model_of_undistorted_images():
    mean, covariance = pristine_model()
    assert mean.shape == (36,)
    assert covariance.shape == (36, 36)
    assert NIQE().protocol["weights"] == "3537a3e6827d"


def test_only_luma_is_served():
    with pytest.raises(ConfigError, match="defined on luma"):
        NIQE(convert_to="RGB")
