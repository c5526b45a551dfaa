"""SIREN: the formula, its initial scale, precision."""

import torch

from vrestore.layers.siren import Siren


def test_formula_and_names():
    net = Siren(3, (5, 4), 2)
    w = net.state_dict()
    sines = [f"net.{i}.linear.{part}" for i in (0, 1) for part in ("weight", "bias")]
    assert list(w) == [*sines, "net.2.weight", "net.2.bias"]
    x = torch.rand(7, 3)
    inner = torch.sin(30 * (x @ w["net.0.linear.weight"].T + w["net.0.linear.bias"]))
    inner = torch.sin(30 * (inner @ w["net.1.linear.weight"].T + w["net.1.linear.bias"]))
    torch.testing.assert_close(net(x), inner @ w["net.2.weight"].T + w["net.2.bias"])


def test_deep_networks_start_with_signals_of_one_size():
    torch.manual_seed(0)
    net = Siren(64, (256,) * 6, 3)
    x = torch.rand(500, 64) * 2 - 1
    spreads = []
    for layer in net.net[:-1]:
        x = layer(x)
        spreads.append(x.std().item())
    assert min(spreads) > 0.5
    assert max(spreads) < 0.8


def test_autocast_does_not_blur_the_sines():
    net, x = Siren(16, (32, 32), 3), torch.rand(50, 16)
    exact = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x), exact)
