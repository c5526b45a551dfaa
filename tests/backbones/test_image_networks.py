"""RRDBNet, SRVGGNetCompact and SwinIR: what they refuse, and SwinIR held against spandrel's copy of its release."""

import importlib

import pytest
import torch

from vrestore.backbones import RRDBNet, SRVGGNetCompact, SwinIR
from vrestore.errors import ConfigError, RequestError

SMALL = dict(embed_dim=12, depths=[2, 2], num_heads=[3, 2], mlp_ratio=2.0)


@pytest.mark.parametrize(("factor", "multiple"), [(2, 2), (1, 4)])
def test_sides_that_cannot_be_folded(factor, multiple):
    net = RRDBNet(mid_channels=4, num_blocks=1, growth_channels=4, upscale_factor=factor)
    assert net(torch.rand(1, 3, multiple * 3, multiple)).shape == (1, 3, multiple * 3 * factor, multiple * factor)
    with pytest.raises(
        RequestError, match=rf"RRDBNet x{factor} .* multiples of {multiple}, got 9x8 \(width x height\)"
    ):
        net(torch.rand(1, 3, 8, 9))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: RRDBNet(upscale_factor=3), "upscale_factor must be 4, 2 or 1, got 3"),
        (lambda: SRVGGNetCompact(act_type="gelu"), "act_type must be one of prelu, relu, leakyrelu, got 'gelu'"),
        (lambda: SRVGGNetCompact(in_channels=1), "in_channels=1 and out_channels=3 must be the same"),
        (lambda: SwinIR(upsampler="bicubic"), "upsampler must be one of .* got 'bicubic'"),
        (lambda: SwinIR(resi_connection="2conv"), "resi_connection must be '1conv' or '3conv', got '2conv'"),
        (lambda: SwinIR(upsampler="nearest+conv", upscale=3), r"'nearest\+conv' serves upscale 2 and 4, got 3"),
        (lambda: SwinIR(upsampler="pixelshuffle", upscale=6), "serves upscale 3 and powers of 2, got 6"),
        (lambda: SwinIR(depths=[2], num_heads=[2, 2]), r"depths \(2,\) and num_heads \(2, 2\) must be equally long"),
    ],
)
def test_wrong_arguments(build, words):
    with pytest.raises(ConfigError, match=words):
        build()


def test_images_smaller_than_half_a_window():
    net = SwinIR(**SMALL, window_size=8, img_size=16)
    assert net(torch.rand(1, 3, 5, 6)).shape == (1, 3, 5, 6)
    with pytest.raises(RequestError, match=r"takes sides of at least 5 pixels, got 6x4 \(width x height\)"):
        net(torch.rand(1, 3, 4, 6))


@pytest.mark.parametrize("size", [(16, 16), (24, 16), (13, 21)])
@pytest.mark.parametrize(
    "arguments",
    [
        dict(upsampler="pixelshuffle", upscale=2, window_size=8, img_size=16),
        dict(upsampler="pixelshuffle", upscale=3, window_size=8, img_size=16, resi_connection="3conv"),
        dict(upsampler="pixelshuffledirect", upscale=4, window_size=8, img_size=16),
        dict(upsampler="nearest+conv", upscale=4, window_size=8, img_size=16, resi_connection="3conv"),
        dict(upsampler="nearest+conv", upscale=2, window_size=8, img_size=24),
        dict(upsampler="", upscale=1, window_size=8, img_size=16, in_chans=1),
        dict(upsampler="", upscale=1, window_size=7, img_size=14, img_range=255.0),
        dict(upsampler="", upscale=1, window_size=8, img_size=8),
        dict(upsampler="", upscale=1, window_size=8, img_size=16, qkv_bias=False, patch_norm=False, qk_scale=0.3),
    ],
    ids=str,
)
@torch.no_grad()
def test_swinir_equals_its_release(arguments, size):
    pytest.importorskip("spandrel")
    module = importlib.import_module("spandrel.architectures.SwinIR.__arch.SwinIR")
    torch.manual_seed(4)
    official = module.SwinIR(**SMALL, **arguments).eval()
    for name, parameter in official.named_parameters():  # the release starts many at zero, which would hide them
        parameter.add_(torch.randn_like(parameter) * (0.2 if "table" in name else 0.05))
    ours = SwinIR(**SMALL, **arguments).eval()
    ours.load_state_dict(official.state_dict())
    x = torch.rand(2, arguments.get("in_chans", 3), *size)
    expected = official(x)
    torch.testing.assert_close(ours(x), expected, atol=2e-5 * max(1, expected.abs().max().item()), rtol=0)
