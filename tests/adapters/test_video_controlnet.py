"""VideoControlNet: what key frames tell, copies of a UNet, and what is refused. (References: tests/parity.)"""

import pytest
import torch

from tests.backbones.latents import TINY, conditions, inputs, tiny_unet
from vrestore.adapters import VideoControlNet
from vrestore.errors import RequestError


@pytest.fixture(scope="module")
def control():
    torch.manual_seed(0)
    net = VideoControlNet(**TINY).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return net


@torch.no_grad()
def run(control, **changes):
    """All that it adds, as one vector, with some conditions changed."""
    residuals = control(*inputs(), **{**conditions(), **changes})
    return torch.cat([x.flatten() for x in [*residuals.skips, residuals.middle]])


@torch.no_grad()
def test_one_addend_for_each_block(control):
    residuals = control(*inputs(), **conditions())
    assert [tuple(x.shape) for x in residuals.skips] == [(6, 32, 6, 4), (6, 32, 6, 4), (6, 32, 4, 2), (6, 64, 4, 2)]
    assert [x.shape[1] for x in residuals.skips] == control.skip_channels
    assert residuals.middle.shape == (6, 64, 4, 2)


def test_every_condition_counts(control):
    base = run(control)
    for name, value in conditions().items():
        if name != "key_frame_index":
            assert not torch.allclose(base, run(control, **{name: value + 1}), atol=1e-3), name
    moved = torch.tensor([[-1, 0, 1]] * 2)
    assert not torch.allclose(base, run(control, key_frame_index=moved), atol=1e-3)


def test_levels_are_told_at_key_frames_only(control):
    none = torch.full((2, 3), -1)
    silent = run(control, key_frame_index=none)
    untold = run(control, key_frame_index=none, noise_level=None, downscale=None, key_latents=None)
    torch.testing.assert_close(silent, untold, atol=2e-5, rtol=1e-4)
    assert torch.equal(silent, run(control, key_frame_index=none, noise_level=900, downscale=8))


def test_a_fraction_is_not_cut_off(control):
    assert not torch.allclose(run(control, downscale=2.5), run(control, downscale=2.0), atol=1e-4)
    between = [run(control, downscale=s) for s in (2.0, 2.01, 2.02)]
    assert (between[1] - between[0]).abs().max() < (between[2] - between[0]).abs().max() < 0.1


def test_the_index_says_which_key_frame_goes_where(control):
    told = conditions()
    swapped = run(control, key_latents=told["key_latents"].flip(2), key_frame_index=torch.tensor([[1, -1, 0]] * 2))
    assert torch.equal(run(control), swapped)
    # A window of a long clip addresses the clip's key latents; those of other windows do not matter.
    clip = torch.cat([torch.randn(2, 4, 3, 6, 4), told["key_latents"], torch.randn(2, 4, 1, 6, 4)], dim=2)
    assert torch.equal(run(control), run(control, key_latents=clip, key_frame_index=torch.tensor([[3, -1, 4]] * 2)))


def test_without_an_index_every_frame_is_told_and_key_latents_are_left_out(control):
    with pytest.warns(UserWarning, match="key_latents are left out: without key_frame_index"):
        left_out = run(control, key_frame_index=None)
    assert torch.equal(left_out, run(control, key_frame_index=None, key_latents=None))
    everywhere = run(control, key_frame_index=torch.zeros(2, 3, dtype=torch.long), key_latents=None)
    torch.testing.assert_close(left_out, everywhere, atol=2e-5, rtol=1e-4)


def test_a_copy_of_a_unet():
    unet = tiny_unet().requires_grad_(False)
    control = VideoControlNet.from_unet(unet)
    for name in ("time_embed", "input_blocks", "middle_block"):
        theirs = getattr(unet, name).state_dict()
        for key, value in getattr(control, name).state_dict().items():
            assert torch.equal(value, theirs[key])
            assert value.data_ptr() != theirs[key].data_ptr()
    assert all(p.requires_grad for p in control.parameters())
    assert control.sizes == unet.sizes
    assert not run(control).any()
    assert VideoControlNet.from_unet(tiny_unet().bfloat16()).dtype == torch.bfloat16


def test_training_reaches_every_weight_of_the_copy_and_none_of_the_unet():
    unet = tiny_unet().requires_grad_(False)
    unet.attach(VideoControlNet.from_unet(unet))
    optimiser = torch.optim.SGD(unet.adapter.parameters(), lr=0.1)
    for _ in range(3):  # the ways in and out start at zero: what lies behind them moves from the second step on
        optimiser.zero_grad()
        (unet(*inputs(), **conditions()) - inputs()[0]).square().mean().backward()
        optimiser.step()
    assert not [name for name, p in unet.adapter.named_parameters() if p.grad is None or not p.grad.any()]
    assert all(p.grad is None for name, p in unet.named_parameters() if not name.startswith("VideoControlNet."))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"key_latents": torch.zeros(2, 4, 6, 4)},
            r"key_latents must have the shape \(B, C, K, H, W\); got \(2, 4, 6, 4\)",
        ),
        (
            {"key_latents": torch.zeros(2, 4, 2, 6, 6)},
            r"must have the shape \(2, 4, 2, 6, 4\) beside.*got \(2, 4, 2, 6, 6\)",
        ),
        ({"key_frame_index": torch.zeros(2, 4, dtype=torch.long)}, r"of the shape \(2, 3\).*got int64 \(2, 4\)"),
        ({"key_frame_index": torch.zeros(2, 3)}, r"must be whole numbers.*got float32"),
        ({"key_frame_index": torch.tensor([[0, -1, 2]] * 2)}, r"between -1 .* and 1, the last.*holds -1 to 2"),
        ({"key_frame_index": torch.tensor([[0, -2, 1]] * 2)}, "holds -2 to 1"),
        ({"downscale": [1, 2, 3]}, "downscale holds 3 numbers for 2 samples"),
    ],
)
def test_conditions_that_do_not_fit(control, changes, message):
    with pytest.raises(RequestError, match=message):
        run(control, **changes)
