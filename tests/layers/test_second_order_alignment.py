"""SecondOrderDeformableAlignment: what it starts as, and which flow moves what. (Numbers: tests/parity.)"""

import pytest
import torch

from vrestore.errors import ConfigError
from vrestore.layers.second_order_alignment import SecondOrderDeformableAlignment


def alignment(**arguments):
    return SecondOrderDeformableAlignment(8, 4, deform_groups=4, **arguments)


@torch.no_grad()
def test_it_starts_as_a_convolution_of_half_the_weight():
    layer = alignment()
    x = torch.rand(2, 8, 6, 7)
    still = torch.zeros(2, 2, 6, 7)
    plain = torch.nn.functional.conv2d(x, layer.weight / 2, layer.bias, padding=1)
    torch.testing.assert_close(layer(x, torch.rand(2, 12, 6, 7), still, still), plain)


@torch.no_grad()
def test_each_flow_moves_its_half_of_the_channels():
    layer = alignment()
    x, extra = torch.rand(1, 8, 9, 9), torch.rand(1, 12, 9, 9)
    still, right, down = (torch.zeros(1, 2, 9, 9) for _ in range(3))
    right[:, 0], down[:, 1] = 2, 1  # (dx, dy)
    moved = torch.cat([x[:, :4].roll(-2, -1), x[:, 4:].roll(-1, -2)], 1)
    inner = (..., slice(2, 5), slice(2, 5))
    torch.testing.assert_close(layer(x, extra, right, down)[inner], layer(moved, extra, still, still)[inner])


def test_every_parameter_trains():
    layer = alignment()
    torch.nn.init.normal_(layer.conv_offset[-1].weight)
    flow = torch.randn(1, 2, 6, 7)
    layer(torch.rand(1, 8, 6, 7), torch.rand(1, 12, 6, 7), flow, -flow).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())


@torch.no_grad()
def test_autocast_keeps_the_precision_of_positions():
    layer = alignment()
    x, extra = torch.rand(1, 8, 4, 600), torch.rand(1, 12, 4, 600)
    flow = torch.full((1, 2, 4, 600), 400.3) * torch.tensor([-1.0, 0.0]).view(1, 2, 1, 1)
    exact = layer(x, extra, flow, flow)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x, extra, flow, flow)
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.02


def test_an_odd_number_of_groups_is_refused():
    with pytest.raises(ConfigError, match="deform_groups must be even"):
        SecondOrderDeformableAlignment(6, 4, deform_groups=3)
