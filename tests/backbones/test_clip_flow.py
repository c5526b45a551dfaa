"""compute_flow: mirrored clips share their flows, each clip of a batch for itself."""

import pytest
import torch

from tests.contract import tiny
from vrestore.backbones import clip_flow
from vrestore.backbones.clip_flow import compute_flow, is_mirrored
from vrestore.registry import BACKBONES


@pytest.fixture
def net():
    net = BACKBONES.build(tiny.SPYNET).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def test_mirror_is_told_for_each_clip():
    half = torch.rand(1, 3, 3, 4, 4)
    mirrored, repeated = torch.cat([half, half.flip(1)], 1), torch.cat([half, half], 1)
    assert is_mirrored(torch.cat([mirrored, repeated, mirrored])).tolist() == [True, False, True]
    assert is_mirrored(half).tolist() == [False]


@torch.no_grad()
def test_flows_of_a_mixed_batch_are_those_of_each_clip_alone(net):
    half, other = torch.rand(2, 3, 3, 9, 12), torch.rand(1, 6, 3, 9, 12)
    mirrored = torch.cat([half, half.flip(1)], 1)
    clips = torch.cat([mirrored[:1], other, mirrored[1:]])
    together = compute_flow(net, clips)
    for direction, flows in enumerate(together):
        each = torch.cat([compute_flow(net, clip[None])[direction] for clip in clips])
        torch.testing.assert_close(flows, each, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_mirrored_clip_is_computed_once_and_equals_the_long_way(net):
    half = torch.rand(1, 2, 3, 8, 8)
    lq = torch.cat([half, half.flip(1)], 1)
    pairs = []

    def counted(ref, supp):
        pairs.append(len(ref))
        return net(ref, supp)

    backward, forward = compute_flow(counted, lq)
    assert sum(pairs) == 3
    long_way = net(lq[0, 1:], lq[0, :-1])
    torch.testing.assert_close(forward[0], long_way, atol=1e-5, rtol=1e-4)
    assert torch.equal(forward, backward.flip(1))


def test_gradients_reach_the_network_from_a_mixed_batch(net):
    half = torch.rand(1, 2, 3, 8, 8)
    lq = torch.cat([torch.cat([half, half.flip(1)], 1), torch.rand(1, 4, 3, 8, 8)])
    sum(flow.square().sum() for flow in compute_flow(net, lq)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@torch.no_grad()
def test_a_few_pairs_at_a_time_change_nothing(net, monkeypatch):
    lq = torch.rand(2, 4, 3, 9, 12)
    whole = compute_flow(net, lq)
    monkeypatch.setattr(clip_flow, "PIXELS_AT_A_TIME", 2 * 9 * 12)
    for a, b in zip(whole, compute_flow(net, lq), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_one_frame_has_no_flow(net):
    backward, forward = compute_flow(net, torch.rand(2, 1, 3, 8, 8))
    assert backward.shape == forward.shape == (2, 0, 2, 8, 8)
