"""Channels last on a CPU: kept by warps and deformable convolutions, with the same numbers."""

import torch

from vrestore.layers.deform_conv import modulated_deform_conv2d
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.memory_format import for_convolutions, layout_of


def test_layouts_are_told_apart():
    x = torch.rand(2, 3, 4, 5)
    last = for_convolutions(x)
    assert torch.equal(last, x)
    assert layout_of(last) == torch.channels_last
    assert layout_of(x) == torch.contiguous_format
    assert layout_of(torch.rand(2, 1, 4, 5)) == torch.contiguous_format  # one channel lies both ways


def test_operators_keep_the_layout_and_the_numbers():
    x, flow = torch.rand(2, 4, 6, 7), torch.randn(2, 6, 7, 2)
    offset, mask, weight = torch.randn(2, 36, 6, 7), torch.rand(2, 18, 6, 7), torch.randn(3, 4, 3, 3)
    for operator in (
        lambda x: flow_warp(x, flow),
        lambda x: modulated_deform_conv2d(x, offset, mask, weight, padding=1, deform_groups=2),
    ):
        out = operator(for_convolutions(x))
        assert layout_of(out) == torch.channels_last
        assert layout_of(operator(x)) == torch.contiguous_format
        torch.testing.assert_close(out, operator(x))
