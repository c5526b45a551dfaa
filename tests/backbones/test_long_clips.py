"""Recurrent networks with the features of long clips kept on the CPU: the same numbers."""

import pytest
import torch

from tests.backbones.randomised import randomised
from tests.contract import tiny
from vrestore.backbones import basicvsr, basicvsr_plusplus, iconvsr

RECURRENT = {name: tiny.CLIP_BACKBONES[name] for name in ("BasicVSR", "BasicVSRPlusPlus", "IconVSR", "RealBasicVSR")}


@pytest.fixture(params=RECURRENT)
def config(request):
    return RECURRENT[request.param]


@torch.no_grad()
def test_features_on_the_cpu_give_the_same_numbers(config, monkeypatch):
    net, lq = randomised(config), torch.rand(1, 4, 3, 8, 12)
    exact = net(lq)
    asked = []

    def always(clips, cache_length):
        asked.append(cache_length)
        return True

    for module in (basicvsr, basicvsr_plusplus, iconvsr):
        monkeypatch.setattr(module, "belongs_on_cpu", always)
    getattr(net, "basicvsr", net).cpu_cache_length = 3
    assert torch.equal(net(lq), exact)
    assert asked == [3]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.no_grad()
def test_long_clips_on_a_gpu_keep_their_features_on_the_cpu(config):
    net, lq = randomised(config).cuda(), torch.rand(1, 5, 3, 8, 12, device="cuda")
    exact = net(lq)
    assert exact.is_cuda
    getattr(net, "basicvsr", net).cpu_cache_length = 4
    offloaded = net(lq)
    assert not offloaded.is_cuda
    assert torch.equal(offloaded, exact.cpu())
