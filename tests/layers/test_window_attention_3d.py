"""Attention in 3D windows: what a token sees, with and without a shift."""

import pytest
import torch

from vrestore.layers import window_attention_3d
from vrestore.layers.window_attention_3d import (
    ResidualSwinGroup,
    SwinBlock,
    merge_windows,
    relative_position_index,
    split_windows,
)


def stirred(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def test_windows_are_split_and_merged():
    x = torch.arange(2 * 4 * 6 * 8 * 3.0).view(2, 4, 6, 8, 3)
    windows = split_windows(x, (2, 3, 4))
    assert windows.shape == (2, 2 * 2 * 2, 24, 3)
    assert torch.equal(windows[1, 1], x[1, :2, :3, 4:].reshape(24, 3))
    assert torch.equal(merge_windows(windows, (2, 3, 4), (4, 6, 8)), x)


def test_every_relative_position_has_its_row():
    index = relative_position_index((2, 3, 4))
    places = torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4))
    apart = places[:, None] - places[None]
    rows = {}
    for row, difference in zip(index.flatten().tolist(), apart.view(-1, 3).tolist(), strict=True):
        assert rows.setdefault(row, difference) == difference
    assert sorted(rows) == list(range(3 * 5 * 7))
    assert index[0, 0] == 3 * 5 * 7 // 2, "no displacement stands in the middle"


def seen_from(block, size, place):
    """Which tokens (D, H, W) change the token at `place`."""
    x = torch.randn(1, *size, 8, requires_grad=True)
    block(x)[(0, *place)].sum().backward()
    return x.grad[0].abs().sum(-1) > 1e-20  # masked tokens keep exp(-100)


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 3, 4), (3, 7, 5)])
def test_a_token_sees_its_window(place):
    seen = seen_from(stirred(SwinBlock(8, 2, (2, 4, 4))), (4, 8, 12), place)
    window = tuple(slice(i // w * w, i // w * w + w) for i, w in zip(place, (2, 4, 4), strict=True))
    assert seen[window].all()
    assert seen.sum() == 32


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 3, 4), (3, 7, 5), (0, 5, 11)])
def test_shifted_windows_see_neighbours_and_not_around_the_border(place):
    size, window = (4, 8, 12), (2, 4, 4)
    seen = seen_from(stirred(SwinBlock(8, 2, window, shifted=True)), size, place)
    expected = torch.ones(size, dtype=torch.bool)
    for axis, (i, w, side) in enumerate(zip(place, window, size, strict=True)):
        start = (i - w // 2) // w * w + w // 2
        inside = (torch.arange(side) >= start) & (torch.arange(side) < start + w)
        expected &= inside.view([side if a == axis else 1 for a in range(3)])
    assert torch.equal(seen, expected)


def test_an_axis_of_one_window_is_not_shifted():
    seen = seen_from(stirred(SwinBlock(8, 2, (2, 4, 4), shifted=True)), (2, 4, 8), (0, 0, 0))
    assert seen[:, :, :2].all()
    assert not seen[:, :, 2:].any()


def test_a_shorter_clip_uses_the_same_biases():
    """Clips of one frame in windows of two: the biases are those of no displacement in time."""
    block = stirred(SwinBlock(8, 2, (2, 4, 4)))
    flat = SwinBlock(8, 2, (1, 4, 4))
    state = block.state_dict()
    state["attn.relative_position_bias_table"] = state["attn.relative_position_bias_table"].view(3, 49, 2)[1]
    state["attn.relative_position_index"] = flat.attn.relative_position_index
    flat.load_state_dict(state)
    x = torch.randn(2, 1, 8, 8, 8)
    torch.testing.assert_close(block(x), flat(x))


def test_masks_in_parts_change_nothing(monkeypatch):
    group = stirred(ResidualSwinGroup(8, 2, 2, (2, 4, 4)))
    x = torch.randn(3, 4, 8, 12, 8)
    whole = group(x)
    monkeypatch.setattr(window_attention_3d, "MASKED_VALUES", 5 * 2 * 32 * 32)  # of 3 * 12 windows, five at a time
    torch.testing.assert_close(group(x), whole)
