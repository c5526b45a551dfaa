"""RIFE and the paper's IFNet: versions, times, the scale of the flows, what is refused."""

import pytest
import torch

from vrestore.backbones import RIFE, IFNet
from vrestore.backbones.rife import VERSIONS

SMALL = {"channels": [6, 6, 6], "num_convs": 1, "context_channels": 4}


def small(version: str, **arguments) -> RIFE:
    official = VERSIONS[version]
    sizes = {"encoder_channels": 4, "feature_channels": 2} if official.encoder_channels else {}
    torch.manual_seed(0)
    return RIFE(version, channels=[6] * len(official.channels), num_convs=1, **sizes, **arguments).eval()


@pytest.mark.parametrize("version", VERSIONS)
@torch.no_grad()
def test_every_version_interpolates_at_its_least_multiple(version):
    net = small(version)
    assert net.size_multiple == VERSIONS[version].size_multiple
    side = net.least_multiple
    assert side == 4 * 2 ** (net.num_blocks - 1)
    img0, img1 = torch.rand(1, 3, side, 2 * side), torch.rand(1, 3, side, 2 * side)
    out, known = net(img0, img1, 0.3, return_intermediates=True)
    assert torch.equal(out, net(img0, img1, 0.3))
    assert known["flow"].shape == (1, 4, side, 2 * side)
    assert known["mask"].shape == (1, 1, side, 2 * side)
    assert known["mask"].min() >= 0
    assert known["mask"].max() <= 1
    with pytest.raises(ValueError, match=f"RIFE {version} takes frames whose height and width are multiples of {side}"):
        net(img0[..., :-1], img1[..., :-1])


@pytest.mark.parametrize(("flow_scale", "multiple"), [(0.5, 64), (1, 32), (2, 16), (4, 8)])
@torch.no_grad()
def test_flows_of_another_scale(flow_scale, multiple):
    net = small("4.6", flow_scale=flow_scale)
    assert net.least_multiple == multiple
    assert net.size_multiple == max(multiple, 32)
    frames = torch.rand(1, 3, multiple, multiple), torch.rand(1, 3, multiple, multiple)
    plain = small("4.6")
    assert torch.equal(net(*frames), plain(*frames, scale=flow_scale))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"version must be one of 4\.6, .*got '4\.5'"):
        RIFE("4.5")
    with pytest.raises(ValueError, match=r"RIFE 4\.25 has 5 blocks: channels must be as many numbers"):
        RIFE("4.25", channels=[8, 8, 8, 8])
    with pytest.raises(ValueError, match=r"RIFE 4\.6 has no encoder, got encoder_channels=4"):
        RIFE("4.6", encoder_channels=4)
    with pytest.raises(ValueError, match=r"scale of the flows must be 0\.25, .*got 0\.3"):
        small("4.6", flow_scale=0.3)
    with pytest.raises(ValueError, match="channels must name as many numbers"):
        IFNet(channels=[8, 8])


@torch.no_grad()
def test_the_papers_network_knows_the_middle_only():
    net = IFNet(**SMALL).eval()
    frames = torch.rand(1, 3, 16, 32), torch.rand(1, 3, 16, 32)
    out, known = net(*frames, return_intermediates=True)
    assert torch.equal(out, net(*frames, 0.5))
    assert out.min() >= 0
    assert out.max() <= 1
    assert known["flow"].shape == (1, 4, 16, 32)
    for timestep in (0.25, torch.tensor(0.25)):
        with pytest.raises(ValueError, match=r"knows the middle of two frames only \(timestep=0\.5\)"):
            net(*frames, timestep)
    assert torch.equal(net(*frames, torch.tensor([0.5])), out)


@torch.no_grad()
def test_still_frames_stay_where_flows_are_zero():
    net = small("4.25")
    for parameter in net.parameters():
        parameter.zero_()
    img = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(net(img, img, 0.7), img, atol=1e-5, rtol=0)
    torch.testing.assert_close(net(img, 1 - img, 0.7), torch.full_like(img, 0.5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("version", ["4.6", "4.25"])
@torch.no_grad()
def test_runs_in_half_precision_weights(version):
    net, side = small(version), 64
    frames = torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)
    exact = net(*frames)
    half = net.bfloat16()(*(x.bfloat16() for x in frames), torch.tensor([0.5]))
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.05
