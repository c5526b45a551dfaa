"""The alignment guard: planted shifts and offsets are found, honest blur is not mistaken for one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.parts import moving_clip
from vrestore.degradations.resize import imresize
from vrestore.evaluation.alignment import measure_alignment


def shifted(frames: torch.Tensor, right: float, down: float) -> torch.Tensor:
    """Shift by any number of pixels in the Fourier domain (around the edges)."""
    h, w = frames.shape[-2:]
    fy, fx = torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w)[None]
    ramp = torch.exp(-2j * math.pi * (fx * right + fy * down))
    return torch.fft.ifft2(torch.fft.fft2(frames.double()) * ramp).real.float().clamp(0, 1)


@settings(max_examples=15, deadline=None)
@given(right=st.floats(-6, 6), down=st.floats(-6, 6), seed=st.integers(0, 3))
def test_any_shift_is_measured_to_a_tenth_of_a_pixel(right, down, seed):
    clip = moving_clip(seed, frames=2, height=96, width=112)
    found = measure_alignment(shifted(clip, right, down), clip)
    assert found.right_px == pytest.approx(right, abs=0.1)
    assert found.down_px == pytest.approx(down, abs=0.1)


@pytest.mark.parametrize("kernel", ["box", "linear", "cubic", "lanczos3"])
def test_a_blurry_output_in_its_place_gives_no_warning(kernel):
    clip = moving_clip(0, frames=5, height=128, width=160)
    restored = imresize(imresize(clip, scale=0.25), scale=4, kernel=kernel, antialias=kernel != "box").clamp(0, 1)
    found = measure_alignment(restored, clip)
    assert math.hypot(found.right_px, found.down_px) < 0.1
    assert found.frame_offset == 0
    assert found.warning is None


def test_the_half_pixel_mistake_of_upsampling_is_told():
    """Taking every fourth pixel and interpolating from corners moves a picture by 1.5 pixels."""
    clip = moving_clip(0, frames=3, height=128, width=160)
    found = measure_alignment(shifted(clip, 1.5, 1.5), clip)
    assert found.right_px == pytest.approx(1.5, abs=0.1)
    assert "not comparable" in found.warning


@pytest.mark.parametrize("offset", [-2, -1, 1, 2])
def test_output_that_runs_ahead_or_behind_is_told(offset):
    whole = moving_clip(0, frames=9, height=96, width=112, step_px=(2, 3))
    hq, pred = whole[2:7], whole[2 + offset : 7 + offset]
    found = measure_alignment(pred, hq)
    assert found.frame_offset == offset
    assert ("ahead of" if offset > 0 else "behind") in found.warning


def test_a_static_scene_has_no_offset_and_a_flat_one_no_shift():
    still = moving_clip(0, frames=1, height=96, width=96).expand(6, -1, -1, -1)
    assert measure_alignment(still, still).frame_offset == 0
    flat = torch.full((3, 3, 64, 64), 0.4)
    found = measure_alignment(flat, flat)
    assert found.right_px is None
    assert found.warning is None


def test_one_tiny_frame_is_no_trouble():
    tiny = torch.rand(1, 3, 8, 8)
    assert measure_alignment(tiny, tiny).as_dict()["warning"] is None
