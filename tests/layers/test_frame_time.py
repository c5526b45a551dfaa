"""The time between two frames in all its forms, and what is refused."""

import pytest
import torch

from vrestore.layers.frame_time import check_pair, time_map

LIKE = torch.zeros(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("timestep", "values"),
    [
        (0.25, [0.25, 0.25]),
        (1, [1, 1]),
        (torch.tensor(0.5), [0.5, 0.5]),
        (torch.tensor([0.5]), [0.5, 0.5]),
        (torch.tensor([0.25, 0.75]), [0.25, 0.75]),
        (torch.tensor([[0.25], [0.75]]), [0.25, 0.75]),
        (torch.tensor([0.25, 0.75], dtype=torch.float64).view(2, 1, 1, 1), [0.25, 0.75]),
        (torch.full((1, 1, 1, 1), 0.5), [0.5, 0.5]),
    ],
)
def test_every_form_becomes_a_map(timestep, values):
    out = time_map(timestep, LIKE)
    assert out.dtype == LIKE.dtype
    assert torch.equal(out, torch.tensor(values, dtype=torch.float32).view(2, 1, 1, 1).expand(2, 1, 4, 5))


@pytest.mark.parametrize(
    ("timestep", "message"),
    [
        (1.01, r"from 0 \(the first frame\) to 1 \(the second\), got 1\.01"),
        (float("nan"), "got nan"),
        (torch.rand(3), r"N=2 pairs of frames, got \(3,\)"),
        (torch.rand(1, 2), r"got \(1, 2\)"),
        (torch.rand(2, 1, 4, 5), r"got \(2, 1, 4, 5\)"),
        ("half", "must be a number or a tensor, got str"),
    ],
)
def test_other_forms_are_refused(timestep, message):
    with pytest.raises(ValueError, match=message):
        time_map(timestep, LIKE)


def test_pairs_are_checked():
    check_pair(torch.zeros(1, 3, 8, 16), torch.zeros(1, 3, 8, 16), 8, "Net")
    with pytest.raises(ValueError, match=r"Net takes two frames of one shape \(N, 3, H, W\), got \(1, 4, 8, 8\)"):
        check_pair(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), 8, "Net")
    with pytest.raises(ValueError, match="Net takes frames whose height and width are multiples of 8, got 8x12; pad"):
        check_pair(torch.zeros(1, 3, 8, 12), torch.zeros(1, 3, 8, 12), 8, "Net")
