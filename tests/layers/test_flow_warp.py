"""flow_warp: whole-pixel shifts are copies; precision and shapes are guarded. (References: tests/parity.)"""

import pytest
import torch

from vrestore.layers.flow_warp import flow_warp


def test_whole_pixel_flow_copies():
    x = torch.rand(1, 2, 6, 7)
    flow = torch.zeros(1, 6, 7, 2)
    assert torch.allclose(flow_warp(x, flow), x, atol=1e-6)
    flow[..., 0] = 2
    torch.testing.assert_close(flow_warp(x, flow)[..., :5], x[..., 2:], atol=1e-5, rtol=0)
    assert flow_warp(x, flow)[..., 5:].abs().max() < 1e-5


def test_half_precision_input_keeps_exact_positions():
    x = torch.zeros(1, 1, 4, 2000)
    x[..., 1500] = 1.0
    flow = torch.zeros(1, 4, 2000, 2)
    flow[..., 0] = 1
    out = flow_warp(x.bfloat16(), flow.bfloat16())  # 1499 is no bfloat16 number
    assert out.dtype == torch.bfloat16
    assert out[0, 0, 0].float().argmax() == 1499


def test_gradients():
    torch.manual_seed(0)
    x = torch.rand(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = (torch.rand(1, 4, 5, 2, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: flow_warp(a, b, padding_mode="border"), (x, flow))


def test_unlike_sides_are_refused():
    with pytest.raises(ValueError, match="sides must be equal"):
        flow_warp(torch.rand(1, 1, 4, 4), torch.zeros(1, 4, 5, 2))
