"""RealBasicVSR beyond the references: how often each clip is cleaned, and by what rule. (Numbers: tests/parity.)"""

import pytest
import torch

from tests.backbones.randomised import randomised
from tests.contract import tiny
from vrestore.backbones import RealBasicVSR
from vrestore.checkpoints.weightless import weightless
from vrestore.losses import CleaningLoss

SEQUENTIAL = {**tiny.REALBASICVSR, "is_sequential_cleaning": True}


class ShrinkBrightness(torch.nn.Module):
    """A cleaning whose residue is a known share of each frame; counts the frames it is given."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.frames = 0

    def forward(self, frames):
        self.frames += len(frames)
        return -self.share * frames


@pytest.fixture
def net():
    return randomised(tiny.REALBASICVSR, noise=0.05)


def grey_clips(*levels):
    return torch.stack([torch.full((2, 3, 8, 8), level) for level in levels])


def test_official_size():
    with weightless():
        net = RealBasicVSR()
    assert sum(p.numel() for p in net.parameters()) == 6_294_834


@pytest.mark.parametrize("sequential", [False, True])
@torch.no_grad()
def test_each_clip_is_cleaned_until_its_own_residue_is_small(net, sequential):
    net.image_cleaning = ShrinkBrightness(0.5)
    net.is_sequential_cleaning = sequential
    net.dynamic_refine_thres = 0.1 * 255
    cleaned = net.clean(grey_clips(0.1, 0.3, 0.9, 0.2))  # residues 0.05; 0.15, 0.075; 0.45, 0.225, 0.1125; 0.1, 0.05
    expected = grey_clips(0.1 / 2, 0.3 / 4, 0.9 / 8, 0.2 / 4)
    torch.testing.assert_close(cleaned, expected)
    assert net.image_cleaning.frames == 2 * (4 + 3 + 1)


@pytest.mark.parametrize(("threshold", "passes"), [(255, 1), (0, 3), (30, 2), (10, 3), (200, 1)])
@torch.no_grad()
def test_at_most_three_passes(net, threshold, passes):
    net.image_cleaning = ShrinkBrightness(0.5)
    net.dynamic_refine_thres = threshold
    torch.testing.assert_close(net.clean(grey_clips(0.4)), grey_clips(0.4 / 2**passes))  # residues 51, 25.5, 12.75


@torch.no_grad()
def test_a_batch_equals_each_clip_alone(net):
    lq = torch.rand(3, 2, 3, 16, 16) * torch.tensor([0.05, 0.5, 1.0]).view(3, 1, 1, 1, 1)
    first = net._residue(lq).abs().mean(dim=(1, 2, 3, 4)) * 255
    net.dynamic_refine_thres = float(first.sort().values[:2].mean())  # some clips stop after one pass, some go on
    torch.testing.assert_close(net(lq), torch.cat([net(clip[None]) for clip in lq]), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_one_after_the_other_gives_the_same_and_changes_nothing(net):
    other = randomised(SEQUENTIAL, noise=0.05)
    other.load_state_dict(net.state_dict())
    net.dynamic_refine_thres = other.dynamic_refine_thres = 0
    lq = torch.rand(2, 3, 3, 8, 8)
    before = lq.clone()
    torch.testing.assert_close(other(lq), net(lq), atol=1e-5, rtol=1e-4)
    assert torch.equal(lq, before)


@torch.no_grad()
def test_few_frames_at_a_time_give_the_same(net, monkeypatch):
    lq = torch.rand(2, 3, 3, 8, 8)
    whole = net.clean(lq)
    monkeypatch.setattr("vrestore.backbones.realbasicvsr.PIXELS_AT_A_TIME", 4 * 64)
    torch.testing.assert_close(net.clean(lq), whole)


@torch.no_grad()
def test_what_it_returns(net):
    lq = torch.rand(1, 2, 3, 8, 8)
    hq, cleaned = net(lq, return_lqs=True)
    again, more = net(lq, return_intermediates=True)
    assert torch.equal(hq, net(lq))
    assert torch.equal(again, hq)
    assert torch.equal(more["cleaned"], cleaned)
    assert more["flows_backward"].shape == (1, 1, 2, 8, 8)
    assert torch.equal(net.basicvsr(cleaned), hq)


def test_gradients_run_through_every_pass(net):
    net.dynamic_refine_thres = 0
    lq = torch.rand(2, 2, 3, 8, 8, requires_grad=True)
    net(lq).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    assert lq.grad.abs().sum() > 0


def test_a_fixed_cleaning():
    net = randomised({**tiny.REALBASICVSR, "is_fix_cleaning": True}, noise=0.05)
    net(torch.rand(1, 2, 3, 8, 8)).sum().backward()
    assert all(p.grad is None for p in net.image_cleaning.parameters())
    assert all(p.grad is not None for p in net.basicvsr.parameters())


def test_cleaning_loss():
    hq = torch.rand(1, 2, 3, 8, 12)
    small = torch.nn.functional.avg_pool2d(hq[0], 4)[None]
    cleaned = (small + 0.25).requires_grad_()
    loss = CleaningLoss(loss_weight=2)({"cleaned": cleaned}, torch.zeros(1), hq)
    assert loss.item() == pytest.approx(0.5, abs=1e-6)
    loss.backward()
    assert cleaned.grad.abs().sum() > 0
