"""BasicVSR and SPyNet beyond the references: size, rules for odd clips, what it returns. (Numbers: tests/parity.)"""

import pytest
import torch

from tests.contract import tiny
from vrestore.backbones import BasicVSR, SPyNet
from vrestore.backbones.basicvsr import is_mirror_extended
from vrestore.registry import BACKBONES


def test_official_size_and_names():
    with torch.device("meta"):
        net = BasicVSR()
    assert sum(p.numel() for p in net.parameters()) == 6_291_311
    names = net.state_dict()
    assert len(names) == 316
    assert names["spynet.basic_module.5.basic_module.4.conv.weight"].shape == (2, 16, 7, 7)
    assert names["backward_resblocks.main.2.29.conv2.bias"].shape == (64,)


@torch.no_grad()
def test_it_starts_at_the_bilinear_base():
    lq = torch.rand(1, 3, 3, 12, 10)
    base = torch.nn.functional.interpolate(lq[0], scale_factor=4, mode="bilinear")
    torch.testing.assert_close(BACKBONES.build(tiny.BASICVSR)(lq)[0], base)


def test_mirror_is_told_for_each_clip():
    half = torch.rand(1, 3, 3, 4, 4)
    assert is_mirror_extended(torch.cat([half, half.flip(1)], 1))
    assert not is_mirror_extended(torch.cat([half, half], 1))
    assert not is_mirror_extended(half)


@torch.no_grad()
def test_a_mirrored_clip_leaves_no_trace_in_the_network():
    net = randomised(tiny.BASICVSR)
    half, other = torch.rand(1, 2, 3, 8, 8), torch.rand(1, 4, 3, 8, 8)
    before = net(other)
    net(torch.cat([half, half.flip(1)], 1))
    assert torch.equal(net(other), before)


@torch.no_grad()
def test_time_reversal_swaps_the_flows():
    net = randomised(tiny.BASICVSR)
    lq = torch.rand(1, 4, 3, 8, 8)
    _, out = net(lq, return_intermediates=True)
    _, reversed_ = net(lq.flip(1), return_intermediates=True)
    assert out["flows_forward"].shape == (1, 3, 2, 8, 8)
    torch.testing.assert_close(out["flows_forward"], reversed_["flows_backward"].flip(1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("h", "w"), [(5, 9), (33, 32), (64, 31)])
@torch.no_grad()
def test_spynet_takes_any_size(h, w):
    net = SPyNet(**{k: v for k, v in tiny.SPYNET.items() if k != "type"})
    flow = net(torch.rand(1, 3, h, w), torch.rand(1, 3, h, w))
    assert flow.shape == (1, 2, h, w)
    assert flow.isfinite().all()


def randomised(config):
    torch.manual_seed(0)
    net = BACKBONES.build(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net
