"""UNetDiscriminatorSN: torch's spectral normalisation number for number, official names, any batch."""

import copy

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from vrestore.backbones import UNetDiscriminatorSN
from vrestore.errors import RequestError
from vrestore.layers.spectral_norm import SpectralNormConv2d

NORMALISED = [f"conv{i}.{kind}" for i in range(1, 9) for kind in ("weight_orig", "weight_u", "weight_v")]
OFFICIAL = {"conv0.weight", "conv0.bias", *NORMALISED, "conv9.weight", "conv9.bias"}


def test_official_names_and_sizes():
    net = UNetDiscriminatorSN()
    assert set(net.state_dict()) == OFFICIAL
    assert sum(p.numel() for p in net.parameters()) == 4_376_897
    assert net.conv3.weight_orig.shape == (512, 256, 4, 4)
    assert net.conv4.weight_v.shape == (512 * 9,)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_normalisation_is_torchs():
    torch.manual_seed(0)
    ours = SpectralNormConv2d(3, 5, 4, 2, 1, bias=False)
    theirs = nn.utils.spectral_norm(nn.Conv2d(3, 5, 4, 2, 1, bias=False))
    theirs.load_state_dict(ours.state_dict())
    for training in (True, True, False, True):
        x = torch.randn(2, 3, 8, 8)
        outputs = []
        for layer in (ours, theirs):
            layer.train(training).zero_grad()
            out = layer(x) + layer(x / 2)  # a gradient through two calls, as a discriminator's step has it
            out.square().sum().backward()
            outputs.append(out)
        assert torch.equal(*outputs)
        assert torch.equal(ours.weight_orig.grad, theirs.weight_orig.grad)
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name


def test_it_rests_in_evaluation_and_can_be_copied_after_a_call():
    layer = SpectralNormConv2d(2, 3, 3)
    layer(torch.rand(1, 2, 4, 4)).sum().backward()
    twin = copy.deepcopy(layer).eval()
    before = copy.deepcopy(twin.state_dict())
    twin(torch.rand(1, 2, 4, 4))
    assert all(torch.equal(value, before[name]) for name, value in twin.state_dict().items())
    with torch.autocast("cpu", torch.bfloat16):
        assert twin.normalised_weight().dtype is torch.float32


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("skip_connection", [True, False])
def test_graph(skip_connection):
    torch.manual_seed(0)
    net = UNetDiscriminatorSN(mid_channels=4, skip_connection=skip_connection)
    x = torch.rand(2, 3, 16, 24)
    for _ in range(5):  # of the power iteration; the random vectors that it begins with would blow scores up
        net(x)
    net.eval()

    def layer(number, y):
        module = getattr(net, f"conv{number}")
        weight = module.weight if number in (0, 9) else module.normalised_weight()
        stride = 2 if number in (1, 2, 3) else 1
        return F.conv2d(y, weight, module.bias, stride, 1)

    def act(y):
        return torch.where(y > 0, y, 0.2 * y)

    down = [act(layer(0, x))]
    for number in (1, 2, 3):
        down.append(act(layer(number, down[-1])))
    y = down.pop()
    for number in (4, 5, 6):
        y = act(layer(number, F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)))
        y = y + skip_connection * down.pop()
    expected = layer(9, act(layer(8, act(layer(7, y)))))
    scores = net(x)
    assert scores.shape == (2, 1, 16, 24)
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(torch.cat([net(frame[None]) for frame in x]), scores)


def test_a_side_that_does_not_fit_is_refused():
    with pytest.raises(RequestError, match="multiples of 8, got 12x16"):
        UNetDiscriminatorSN(mid_channels=2)(torch.rand(1, 3, 16, 12))
