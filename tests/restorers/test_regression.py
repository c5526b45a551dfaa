"""RegressionRestorer: losses, and that training lowers them."""

import pytest
import torch

from tests.contract import tiny
from vrestore.errors import ConfigError
from vrestore.registry import MODELS


def build(**more):
    return MODELS.build(dict(type="RegressionRestorer", backbone=tiny.BASICVSR, **more))


def test_pixel_loss_of_the_bilinear_start():
    restorer = build(pixel_loss=dict(type="L1Loss"))
    lq = torch.rand(2, 3, 3, 8, 8)
    base = torch.nn.functional.interpolate(lq.flatten(0, 1), scale_factor=4, mode="bilinear").view(2, 3, 3, 32, 32)
    losses = restorer.loss(lq, base + 0.25)
    assert list(losses) == ["loss_pixel"]
    assert losses["loss_pixel"].item() == pytest.approx(0.25, abs=1e-5)


def test_auxiliary_losses_are_added_by_name():
    losses = build(auxiliary_losses=dict(flow=dict(type="PhotometricFlowLoss"))).loss(
        torch.rand(1, 3, 3, 16, 16), torch.rand(1, 3, 3, 64, 64)
    )
    assert set(losses) == {"loss_pixel", "loss_flow"}


def test_a_scale_that_does_not_fit_is_explained():
    with pytest.raises(ConfigError, match="the data's scale and the network's scale differ"):
        build().loss(torch.rand(1, 2, 3, 8, 8), torch.rand(1, 2, 3, 16, 16))


def test_training_lowers_the_loss():
    torch.manual_seed(1)
    restorer = build()
    hq = torch.rand(1, 3, 3, 32, 32)
    lq = torch.nn.functional.avg_pool2d(hq.flatten(0, 1), 4).view(1, 3, 3, 8, 8)
    optimiser = torch.optim.Adam(restorer.parameters(), lr=3e-3)
    values = []
    for _ in range(30):
        loss = restorer.loss(lq, hq)["loss_pixel"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < 0.97 * values[0]


def test_frames_are_padded_to_what_the_network_declares():
    network = {**tiny.BASICVSR_PLUSPLUS, "is_low_res_input": False}
    restorer = MODELS.build(dict(type="RegressionRestorer", backbone=network))
    assert restorer.capabilities.size_multiple == 4
    frames = torch.rand(2, 3, 13, 18)
    torch.testing.assert_close(restorer.restore(frames), frames)  # untrained, it gives its base
    assert build().capabilities.size_multiple == 1
    assert build(size_multiple=2).capabilities.size_multiple == 2


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_clips_are_padded_to_what_the_network_declares(frames):
    restorer = MODELS.build(dict(type="RegressionRestorer", backbone=tiny.RVRT))
    assert (restorer.capabilities.frames_multiple, restorer.capabilities.size_multiple) == (2, 4)
    clip = torch.rand(frames, 3, 10, 13)
    base = torch.nn.functional.interpolate(clip, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(restorer.restore(clip)[..., :36, :48], base[..., :36, :48])  # its untrained result
    assert build().capabilities.frames_multiple == 1
    assert build(frames_multiple=3).capabilities.frames_multiple == 3
