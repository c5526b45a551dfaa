"""Architectures of BasicSR by name; without basicsr only the error is tested."""

import importlib.util

import pytest
import torch

from vrestore.backbones import RRDBNet, basicsr_arch
from vrestore.checkpoints.zoo import load_restorer
from vrestore.errors import ConfigError, MissingDependencyError
from vrestore.registry import BACKBONES, MODELS

needs_basicsr = pytest.mark.skipif(importlib.util.find_spec("basicsr") is None, reason="needs basicsr (see setup.py)")

RRDB = dict(name="RRDBNet", num_in_ch=3, num_out_ch=3, num_feat=8, num_block=1, num_grow_ch=4)
# arguments, input, scale, size multiple
IMAGES = [
    (
        dict(
            name="ECBSR",
            num_in_ch=3,
            num_out_ch=3,
            num_block=1,
            num_channel=8,
            with_idt=False,
            act_type="prelu",
            scale=2,
        ),
        2,
        1,
    ),
    (dict(name="EDSR", num_in_ch=3, num_out_ch=3, num_feat=8, num_block=1), 4, 1),
    (dict(name="MSRResNet", num_feat=8, num_block=1, upscale=3), 3, 1),
    (dict(name="RCAN", num_in_ch=3, num_out_ch=3, num_feat=16, num_group=1, num_block=1, upscale=2), 2, 1),
    (dict(name="RIDNet", in_channels=3, mid_channels=16, out_channels=3, num_block=1), 1, 1),
    (RRDB, 4, 1),
    ({**RRDB, "scale": 2}, 2, 2),
    ({**RRDB, "scale": 1}, 1, 4),
    (dict(name="SRVGGNetCompact", num_feat=8, num_conv=2, upscale=2), 2, 1),
    (
        dict(
            name="SwinIR",
            embed_dim=12,
            depths=(2,),
            num_heads=(2,),
            window_size=8,
            img_size=16,
            upscale=2,
            upsampler="pixelshuffle",
        ),
        2,
        8,
    ),
]
BASICVSR = dict(name="BasicVSR", num_feat=8, num_block=1)


def build(**arguments):
    torch.manual_seed(1)
    return BACKBONES.build(dict(type="BasicSRArch", **arguments)).eval()


@pytest.mark.skipif(importlib.util.find_spec("basicsr") is not None, reason="basicsr is there")
def test_without_basicsr_the_way_to_it_is_told():
    with pytest.raises(MissingDependencyError, match=r"not installed; .*basicsr==1\.4\.2 && .*'vrestore\[basicsr\]'"):
        build(**RRDB)


@needs_basicsr
@pytest.mark.parametrize(("arguments", "scale", "multiple"), IMAGES, ids=str)
def test_images_restore_frame_by_frame(arguments, scale, multiple):
    net = build(**arguments)
    assert (net.input, net.scale, net.size_multiple) == ("image", scale, multiple)
    restorer = MODELS.build(dict(type="FramewiseRestorer", backbone=dict(type="BasicSRArch", **arguments)))
    frames = torch.rand(2, 3, 17, 18)
    assert restorer.restore(frames).shape == (2, 3, 17 * scale, 18 * scale)


@needs_basicsr
def test_clips_restore_as_clips():
    net = build(**BASICVSR)
    assert (net.input, net.scale) == ("clip", 4)
    restorer = MODELS.build(dict(type="RegressionRestorer", backbone=dict(type="BasicSRArch", **BASICVSR)))
    assert restorer.restore(torch.rand(3, 3, 40, 44)).shape == (3, 3, 160, 176)
    with pytest.raises(ConfigError, match="FramewiseRestorer runs networks for images; BasicVSR is one for clips"):
        MODELS.build(dict(type="FramewiseRestorer", backbone=dict(type="BasicSRArch", **BASICVSR)))


@needs_basicsr
@pytest.mark.parametrize(
    ("arguments", "scale", "multiple"), [(dict(name="DUF", num_layer=16), 4, 1), (dict(name="TOFlow"), 1, 16)]
)
def test_windows(arguments, scale, multiple):
    net = build(**arguments)
    assert (net.input, net.scale, net.size_multiple) == ("window", scale, multiple)
    assert (net.num_frames, net.center_frame_idx) == (7, 3)
    with torch.no_grad():
        assert net(torch.rand(1, 7, 3, 32, 32)).shape == (1, 3, 32 * scale, 32 * scale)


@pytest.mark.parametrize(
    ("given", "frames", "centre", "multiple", "scale"),
    [({}, 5, 2, 4, 4), ({"num_frame": 7, "center_frame_idx": 0}, 7, 0, 4, 4), ({"hr_in": True}, 5, 2, 16, 1)],
)
def test_edvr_is_known_without_its_compiled_operator(given, frames, centre, multiple, scale):
    told = {"num_frame": 5, "center_frame_idx": None, "hr_in": False, **given}
    kind = basicsr_arch.KINDS["EDVR"]
    values = {key: basicsr_arch._value(rule, told) for key, rule in kind.attributes.items()}
    assert values == {"num_frames": frames, "center_frame_idx": centre}
    assert basicsr_arch._value(kind.size_multiple, told) == multiple
    assert basicsr_arch._value(kind.scale, told) == scale


@needs_basicsr
def test_its_names_are_its_own(tmp_path):
    net = build(**RRDB)
    torch.save({"params": net.state_dict()}, tmp_path / "w.pth")
    config = dict(type="FramewiseRestorer", backbone=dict(type="BasicSRArch", **RRDB))
    loaded = load_restorer(config, str(tmp_path / "w.pth"), device="cpu")
    ours = RRDBNet(mid_channels=8, num_blocks=1, growth_channels=4).eval()
    ours.load_state_dict(net.state_dict())
    frames = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        wanted = net(frames)
        assert torch.equal(ours(frames), wanted)
    assert torch.equal(loaded.restore(frames), wanted.clamp(0, 1))


@needs_basicsr
def test_what_is_not_known_is_asked():
    with pytest.raises(ConfigError, match="BasicSR has no architecture 'RRDB'; it has: BasicVSR, "):
        build(name="RRDB")
    with pytest.raises(ConfigError, match=r"BasicSR's RRDBNet\(num_in_ch, .*missing a required argument: 'num_in_ch'"):
        build(name="RRDBNet")
    with pytest.raises(ConfigError, match="not known what VGGStyleDiscriminator takes; say input='image', 'clip' or"):
        build(name="VGGStyleDiscriminator", num_in_ch=3, num_feat=4)
    net = build(name="UNetDiscriminatorSN", num_in_ch=3, num_feat=4, input="image", output_scale=1)
    assert (net.input, net.scale) == ("image", 1)


@needs_basicsr
@pytest.mark.skipif(torch.cuda.is_available(), reason="with CUDA it is whole")
def test_basicvsrpp_without_its_alignment_is_refused():
    with pytest.raises(ConfigError, match="without its alignment on a machine without CUDA"):
        build(name="BasicVSRPlusPlus", mid_channels=8, num_blocks=1)
