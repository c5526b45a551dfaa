"""Guided deformable attention against its formula, sample by sample."""

import itertools
import math

import pytest
import torch

from vrestore.errors import ConfigError
from vrestore.layers.deform_attention import GuidedDeformableAttention, deform_attention, slot_order

HEADS, GROUPS, WINDOW = 2, 4, (3, 1)


def sample(image, y, x):
    """Bilinear value of (C, H, W) at a position in pixels; nothing outside."""
    _, h, w = image.shape
    value = torch.zeros_like(image[:, 0, 0])
    for row, column in itertools.product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
        if 0 <= row < h and 0 <= column < w:
            value = value + (1 - abs(y - row)) * (1 - abs(x - column)) * image[:, row, column]
    return value


def by_hand(q, k, v, offsets):
    """The formula for one video: q, k, v (N, C, H, W), offsets (N, N, groups, taps, 2, H, W)."""
    n, c, h, w = q.shape
    out = torch.zeros_like(q)
    both, each = torch.cat([k, v], dim=1), 2 * c // GROUPS
    for j, y, x in itertools.product(range(n), range(h), range(w)):
        samples = []
        for slot, frame in slot_order(n, j):
            for tap in range(WINDOW[0] * WINDOW[1]):
                down, right = tap // WINDOW[1] - WINDOW[0] // 2, tap % WINDOW[1] - WINDOW[1] // 2
                moved = offsets[j, slot, :, tap, :, y, x].tolist()
                parts = both[frame].split(each)
                samples.append(
                    torch.cat([sample(p, y + down + m[0], x + right + m[1]) for p, m in zip(parts, moved, strict=True)])
                )
        keys, values = torch.stack(samples).view(len(samples), 2, HEADS, c // HEADS).unbind(1)
        logits = (q[j, :, y, x].view(HEADS, -1) * keys).sum(-1) / math.sqrt(c // HEADS)
        out[j, :, y, x] = (logits.softmax(0).unsqueeze(-1) * values).sum(0).flatten()
    return out


def inputs(n=2, h=4, w=5, c=8):
    torch.manual_seed(2)
    q, k, v = torch.randn(3, 2, n, c, h, w, dtype=torch.float64)
    offsets = torch.randn(2, n, n, GROUPS * WINDOW[0] * WINDOW[1] * 2, h, w, dtype=torch.float64) * 1.5
    return q, k, v, offsets


def attend(*tensors, **more):
    return deform_attention(*tensors, num_heads=HEADS, deform_groups=GROUPS, window=WINDOW, **more)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_it_is_its_formula(n):
    q, k, v, offsets = inputs(n)
    out = attend(q, k, v, offsets)
    taps = WINDOW[0] * WINDOW[1]
    for i in range(2):
        expected = by_hand(q[i], k[i], v[i], offsets[i].view(n, n, GROUPS, taps, 2, *q.shape[-2:]))
        torch.testing.assert_close(out[i], expected)


def test_slots_begin_with_the_own_place():
    assert [slot_order(3, j) for j in range(3)] == [
        [(0, 0), (1, 1), (2, 2)],
        [(0, 1), (1, 2), (2, 0)],
        [(0, 2), (1, 0), (2, 1)],
    ]


def test_bands_change_neither_values_nor_gradients():
    tensors = [x.requires_grad_() for x in inputs()]
    whole = attend(*tensors)
    banded = attend(*tensors, sampled_values=1)
    torch.testing.assert_close(banded, whole)
    weight = torch.randn_like(whole)
    for one, other in zip(
        torch.autograd.grad((whole * weight).sum(), tensors),
        torch.autograd.grad((banded * weight).sum(), tensors),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_gradients():
    tensors = [x[:1].requires_grad_() for x in inputs(h=2, w=3, c=4)]
    assert torch.autograd.gradcheck(attend, tensors)


@torch.no_grad()
def test_features_that_lie_where_the_flow_points_are_found():
    """With the values moved by a whole number of pixels, the flow alone brings them back."""
    torch.manual_seed(0)
    align = GuidedDeformableAttention(8, clip_size=2, deform_groups=4, num_heads=4, window=(1, 1), offset_channels=4)
    frames = torch.randn(1, 2, 8, 6, 7)
    moved = frames.roll((1, 2), dims=(-2, -1))
    flows = torch.tensor([2.0, 1.0]).view(1, 1, 1, 2, 1, 1).expand(1, 2, 2, 2, 6, 7)
    still = torch.zeros_like(flows)
    aligned, after = align(frames, moved, moved, flows)
    expected, _ = align(frames, frames, frames, still)
    torch.testing.assert_close(aligned[..., :4, :4], expected[..., :4, :4])
    assert torch.equal(after, flows), "it starts without offsets"


def test_flows_move_by_the_mean_offset():
    align = GuidedDeformableAttention(8, clip_size=1, deform_groups=2, num_heads=1, window=(1, 1), offset_channels=4)
    with torch.no_grad():  # (dy, dx) of the keys and of the values
        align.conv_offset[-1].bias.copy_(torch.atanh(torch.tensor([1.0, 2.0, 3.0, 6.0]) / 10))
    features, flows = torch.randn(1, 1, 8, 4, 4), torch.randn(1, 1, 1, 2, 4, 4)
    _, moved = align(features, features, features, flows)
    torch.testing.assert_close(moved - flows, torch.tensor([4.0, 2.0]).view(1, 1, 1, 2, 1, 1).expand_as(flows))


@pytest.mark.parametrize("wrong", [dict(deform_groups=3), dict(num_heads=5), dict(deform_groups=14)])
def test_groups_and_heads_must_divide(wrong):
    with pytest.raises(ConfigError, match=r"deform_groups=.* must divide the 16 channels"):
        GuidedDeformableAttention(8, **{"deform_groups": 4, "num_heads": 4, **wrong})
