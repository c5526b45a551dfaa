"""BT.601 at its corners, and there and back."""

import pytest
import torch

from vrestore.evaluation.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [((0, 0, 0), (16, 128, 128)), ((1, 1, 1), (235, 128, 128)), ((1, 0, 0), (81.481, 90.203, 240))],
)
def test_corners_have_the_code_values_of_the_recommendation(rgb, ycbcr):
    frame = torch.tensor(rgb, dtype=torch.float64).view(3, 1, 1)
    assert (rgb_to_ycbcr(frame) * 255).flatten().tolist() == pytest.approx(ycbcr, abs=1e-9)
    assert (rgb_to_y(frame) * 255).item() == pytest.approx(ycbcr[0], abs=1e-9)


def test_there_and_back():
    frames = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    assert (ycbcr_to_rgb(rgb_to_ycbcr(frames)) - frames).abs().max() < 2e-5
