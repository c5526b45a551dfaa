"""Chroma filters against the positions they are defined by."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vrestore.video import chroma


def positions(count: int, step: int, siting_is_centre: bool) -> np.ndarray:
    """Where the chroma samples lie, in luma samples."""
    return np.arange(count) * step + ((step - 1) / 2 if siting_is_centre else 0.0)


@pytest.mark.parametrize("siting", chroma.SITINGS)
@pytest.mark.parametrize("step", [(2, 2), (1, 2), (2, 1), (1, 4), (4, 4), (1, 1)])
def test_enlarge_interpolates_linearly_between_sample_positions(step, siting):
    height, width = 7 * step[0], 9 * step[1]
    planes = torch.rand(2, 7, 9, dtype=torch.float64)
    rows = positions(7, step[0], True)  # every siting here is half-way between lines
    columns = positions(9, step[1], siting == "center")
    out = chroma.enlarge(planes, (height, width), step, siting).numpy()
    for plane, found in zip(planes.numpy(), out, strict=True):
        tall = np.stack([np.interp(np.arange(height), rows, column) for column in plane.T], 1)
        wide = np.stack([np.interp(np.arange(width), columns, row) for row in tall], 0)
        np.testing.assert_allclose(found, wide, atol=1e-12)


@pytest.mark.parametrize("siting", chroma.SITINGS)
def test_float32_takes_the_quick_way_to_the_same_numbers(siting):
    planes = torch.rand(3, 5, 6)
    for size in ((10, 12), (9, 12), (10, 11)):
        quick = chroma.enlarge(planes, size, (2, 2), siting, out=torch.empty(3, *size))
        exact = chroma.enlarge(planes.double(), size, (2, 2), siting)
        torch.testing.assert_close(quick.double(), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("siting", chroma.SITINGS)
@pytest.mark.parametrize("step", [(2, 2), (1, 2), (4, 4)])
def test_reduce_is_the_scaled_transpose_of_enlarge(step, siting):
    """Inside the frame, <enlarge(a), b> = step area * <a, reduce(b)>."""
    small = torch.zeros(1, 9, 9, dtype=torch.float64)
    small[:, 3:6, 3:6] = torch.rand(1, 3, 3, dtype=torch.float64)
    large = torch.rand(1, 9 * step[0], 9 * step[1], dtype=torch.float64)
    left = (chroma.enlarge(small, large.shape[1:], step, siting) * large).sum()
    right = (small * chroma.reduce(large, step, siting)).sum() * step[0] * step[1]
    torch.testing.assert_close(left, right)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    step=st.sampled_from([(2, 2), (1, 2), (2, 1), (4, 4), (1, 4)]),
    siting=st.sampled_from(chroma.SITINGS),
)
def test_any_size_keeps_a_flat_field_and_a_linear_one_inside(height, width, step, siting):
    flat = torch.full((2, height, width), 0.37, dtype=torch.float64)
    small = chroma.reduce(flat, step, siting)
    assert small.shape == (2, -(-height // step[0]), -(-width // step[1]))
    torch.testing.assert_close(chroma.enlarge(small, (height, width), step, siting), flat)
    ramp = torch.arange(width, dtype=torch.float64).expand(1, height, width)
    back = chroma.enlarge(chroma.reduce(ramp, step, siting), (height, width), step, siting)
    edge = 2 * step[1]
    if width > 2 * edge:
        torch.testing.assert_close(back[..., edge:-edge], ramp[..., edge:-edge])
