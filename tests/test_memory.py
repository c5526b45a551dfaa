"""What is told of memory before anything runs."""

import pytest
import torch
import torch.nn as nn
from torch.utils.checkpoint import checkpoint

from vrestore.memory import MemoryNeed, activation_bytes, free_memory_bytes, training_bytes


def test_the_most_that_is_alive_at_one_time():
    def call(module, x):
        y = x + 1  # 4 MB
        z = y * 2  # 8 MB alive
        del y
        return (z + 1).sum()  # 8 MB again

    assert activation_bytes(nn.Identity(), call, (1000, 1000)) == pytest.approx(8e6, rel=0.01)


def test_weights_inputs_and_views_cost_nothing():
    layer = nn.Linear(500, 500)

    def call(module, x):
        return module.weight.t().view(500, 500), x.view(-1)

    assert activation_bytes(layer, call, (500, 500)) == 0
    grown = activation_bytes(layer, lambda module, x: module(x), (2000, 500))
    assert grown == 2000 * 500 * 4


def test_half_precision_takes_half():
    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    full = activation_bytes(net, lambda module, x: module(x), (4, 8, 64, 64))
    assert activation_bytes(net.bfloat16(), lambda module, x: module(x.bfloat16()), (4, 8, 64, 64)) < full


def test_a_network_without_memory_will_do():
    with torch.device("meta"):
        net = nn.Linear(100_000, 100_000)  # 40 GB
    assert activation_bytes(net, lambda module, x: module(x), (10, 100_000)) == 10 * 100_000 * 4


def test_what_is_said():
    need = MemoryNeed({"frames": 2 * 2**30}, {"encoding": 2**30, "denoising": 3 * 2**30})
    assert need.total == 5 * 2**30
    assert str(need) == "about 5.0 GiB beside the weights (frames 2.0, denoising 3.0)"
    assert MemoryNeed({"frames": 2**30}).total == 2**30


def test_free_memory_is_a_plausible_number_or_none():
    free = free_memory_bytes()
    assert free is None or 2**20 < free < 2**50
    assert free_memory_bytes("meta") is None


class Layers(nn.Module):
    def __init__(self, checkpointed=False):
        super().__init__()
        layers = (nn.Sequential(nn.Linear(500, 500), nn.GELU(), nn.Linear(500, 500), nn.GELU()) for _ in range(6))
        self.layers = nn.ModuleList(layers)
        self.checkpointed = checkpointed

    def forward(self, x):
        for layer in self.layers:
            x = checkpoint(layer, x, use_reentrant=False) if self.checkpointed else layer(x)
        return x


class TestTraining:
    def need(self, net, **settings):
        return training_bytes(net, lambda module, x: module(x).square().sum(), (2000, 500), **settings)

    def test_what_is_kept_for_gradients_counts(self):
        net = Layers()
        forward = activation_bytes(net, lambda module, x: module(x).square().sum(), (2000, 500))
        kept = 24 * 2000 * 500 * 4  # what goes into each linear layer and each activation
        assert kept <= self.need(net) < 1.2 * kept
        assert forward < kept / 5
        assert all(p.grad is None for p in net.parameters())

    def test_what_is_frozen_keeps_nothing(self):
        net = Layers()
        net.layers[:5].requires_grad_(False)
        assert self.need(net) < self.need(Layers()) / 3

    def test_checkpointing_keeps_less(self):
        assert self.need(Layers(checkpointed=True)) < self.need(Layers()) / 2

    def test_half_precision_keeps_less(self):
        assert self.need(Layers(), dtype=torch.bfloat16) < 0.7 * self.need(Layers())

    def test_a_network_without_memory_will_do(self):
        assert self.need(Layers().to("meta")) == self.need(Layers())
