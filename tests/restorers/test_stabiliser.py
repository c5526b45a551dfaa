"""The temporal stabiliser: off, block-wise, at cuts, on noise, under motion; its flow and its capabilities."""

import pytest
import torch
import torch.nn.functional as F

from vrestore import load_restorer, restore_clip
from vrestore.errors import ConfigError
from vrestore.layers.dis_flow import DISFlow
from vrestore.registry import MODELS
from vrestore.restorers.stabiliser import TemporalStabiliser, warp

SRVGG = dict(type="SRVGGNetCompact", mid_channels=6, num_convs=1, upscale_factor=2)
NOISE = 0.03


def framewise(**more):
    torch.manual_seed(1)
    return MODELS.build(dict(type="FramewiseRestorer", backbone=SRVGG, **more)).eval()


def texture(seed, h=48, w=64, cell_px=4):
    """A smooth random image (1, 3, h, w) in [0.1, 0.9]."""
    noise = torch.rand(1, 3, h // cell_px, w // cell_px, generator=torch.Generator().manual_seed(seed))
    return 0.1 + 0.8 * F.interpolate(noise, size=(h, w), mode="bilinear")


def moving(frames, step_px, h=48, w=64):
    """A texture (T, 3, h, w) that moves to the left by whole pixels."""
    wide = texture(3, h, w + step_px * frames + 4 & ~3)
    return torch.cat([wide[..., i * step_px : i * step_px + w] for i in range(frames)])


def noise_like(clip, seed=0, sigma=NOISE):
    return sigma * torch.randn(clip.shape, generator=torch.Generator().manual_seed(seed))


def noisy(clip, seed=0):
    return (clip + noise_like(clip, seed)).clamp(0, 1)


def flicker(clip):
    return float((clip[1:] - clip[:-1]).square().mean())


def rms(x):
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("stabiliser", [None, dict(strength=0), dict(strength=0.0, radius=2)])
def test_off_is_bit_identical_and_declares_no_context(stabiliser):
    clip = noisy(moving(3, 1))
    plain, restorer = framewise(), framewise(stabiliser=stabiliser)
    assert torch.equal(restorer.restore(clip), plain.restore(clip))
    assert restorer.capabilities == plain.capabilities
    assert restorer.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("radius", [1, 2])
def test_capabilities_declare_the_context(radius):
    capabilities = framewise(stabiliser=dict(strength=0.5, radius=radius)).capabilities
    assert capabilities.context_frames == capabilities.chunk_overlap_frames == radius
    assert capabilities.tile_overlap_px is None  # the flow of a tile is not that of the frame


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("block", [1, 3])
def test_blocks_with_the_declared_overlap_equal_the_whole_clip(radius, block):
    restorer = framewise(stabiliser=dict(strength=1.0, radius=radius))
    clip = noisy(moving(7, 2))
    whole, overlap = restorer.restore(clip), restorer.capabilities.chunk_overlap_frames
    assert not torch.equal(whole, framewise().restore(clip))
    for start in range(0, len(clip), block):
        first = max(start - overlap, 0)
        part = restorer.restore(clip[first : start + block + overlap])
        kept = part[start - first :][: min(block, len(clip) - start)]
        assert torch.equal(kept, whole[start : start + block])


@pytest.mark.parametrize("radius", [1, 2])
def test_restore_clip_in_blocks_equals_the_whole_clip(radius):
    restorer = framewise(stabiliser=dict(strength=1.0, radius=radius))
    clip = noisy(moving(6, 2))
    assert torch.equal(restore_clip(restorer, clip, block_frames=2), restorer.restore(clip))


def test_a_frame_depends_on_no_frame_beyond_the_context():
    stabiliser = TemporalStabiliser(radius=2)
    clip = noisy(moving(6, 1))
    other = clip.clone()
    other[5] = texture(9)[0]
    assert torch.equal(stabiliser(clip, clip)[:3], stabiliser(other, other)[:3])
    assert not torch.equal(stabiliser(clip, clip)[3], stabiliser(other, other)[3])


@pytest.mark.parametrize("radius", [1, 2])
def test_nothing_crosses_a_cut(radius):
    before, after = noisy(texture(1).expand(3, -1, -1, -1), 1), noisy(texture(2).expand(3, -1, -1, -1), 2)
    stabiliser = TemporalStabiliser(radius=radius)
    joined = stabiliser(torch.cat([before, after]), torch.cat([before, after]))
    assert torch.equal(joined[:3], stabiliser(before, before))
    assert torch.equal(joined[3:], stabiliser(after, after))


@pytest.mark.parametrize(("radius", "most"), [(1, 0.35), (2, 0.25)])
def test_flicker_of_a_static_noisy_clip_falls(radius, most):
    clean = texture(1).expand(6, -1, -1, -1)
    lq = noisy(clean)
    stable = TemporalStabiliser(radius=radius)(lq, lq)
    assert flicker(stable) < most * flicker(lq)
    assert rms(stable - clean) < 0.8 * rms(lq - clean)


def test_flicker_falls_with_the_strength():
    lq = noisy(texture(1).expand(5, -1, -1, -1))
    values = [flicker(TemporalStabiliser(strength=s)(lq, lq)) for s in (0.0, 0.3, 1.0)]
    assert values == sorted(values, reverse=True)


def test_neighbours_follow_the_motion():
    """The noise of restored frames that move by 3 px a frame falls, in twice the size of the input as well."""
    lq = moving(5, 3)
    clean = F.interpolate(lq, scale_factor=2, mode="bicubic")
    restored = clean + noise_like(clean)
    stable = TemporalStabiliser()(lq, restored)
    inner = (..., slice(16, -16), slice(16, -16))
    assert rms((stable - clean)[inner]) < 0.75 * NOISE


def test_random_motion_leaves_no_ghost():
    """An object that jumps about over a static background is not seen where it was before."""
    places = [(4, 6), (28, 40), (10, 44), (30, 8), (16, 24)]
    background = texture(1).expand(len(places), -1, -1, -1)
    clip = background.clone()
    for frame, (y, x) in zip(clip, places, strict=True):
        frame[:, y : y + 10, x : x + 10] = 1 - frame[:, y : y + 10, x : x + 10].round()
    stable = TemporalStabiliser(radius=2)(clip, clip)
    assert (stable - clip).abs().amax() < 0.05
    assert rms(stable - clip) < 0.005


def test_frames_without_a_common_content_are_not_blended():
    clip = torch.rand(4, 3, 40, 40, generator=torch.Generator().manual_seed(5))
    assert torch.equal(TemporalStabiliser()(clip, clip), clip)


def test_constant_frames_stay():
    clip = torch.full((3, 3, 20, 24), 0.5)
    torch.testing.assert_close(TemporalStabiliser(radius=2)(clip, clip), clip)


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (17, 23)])
def test_small_and_odd_sizes(size):
    clip = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1))
    restored = framewise(stabiliser=dict(strength=1.0)).restore(clip)
    assert restored.shape == (3, 3, 2 * size[0], 2 * size[1])
    assert restored.isfinite().all()


def test_one_frame_stays():
    clip = texture(1)
    assert torch.equal(TemporalStabiliser()(clip, clip), clip)


def test_half_precision():
    from vrestore.restorers import Request

    restorer = framewise(stabiliser=dict(strength=1.0))
    clip = noisy(moving(3, 1))
    close = restorer.restore(clip, Request(precision="bf16"))
    torch.testing.assert_close(close, restorer.restore(clip), atol=0.02, rtol=0)


def test_a_flow_network_takes_the_place_of_dis():
    flow = dict(type="SPyNet", num_levels=2, channels=(4, 4, 4, 4), kernel_size=3)
    restorer = framewise(stabiliser=dict(strength=1.0, flow=flow))
    assert type(restorer.stabiliser.flow).__name__ == "SPyNet"
    assert not any(p.requires_grad for p in restorer.stabiliser.parameters())
    assert restorer.restore(noisy(moving(3, 1))).shape == (3, 3, 96, 128)


def test_weights_of_the_flow_network_are_loaded(tmp_path):
    from safetensors.torch import save_file

    flow = dict(type="SPyNet", num_levels=2, channels=(4, 4, 4, 4), kernel_size=3)
    source = framewise(stabiliser=dict(flow=flow))
    save_file(source.backbone.state_dict(), tmp_path / "net.safetensors")
    save_file(source.stabiliser.flow.state_dict(), tmp_path / "flow.safetensors")
    torch.manual_seed(9)
    options = dict(flow=flow, flow_weights=str(tmp_path / "flow.safetensors"))
    config = dict(type="FramewiseRestorer", backbone=SRVGG, weights=str(tmp_path / "net.safetensors"))
    loaded = load_restorer(config | {"stabiliser": options}, device="cpu")
    for name, value in source.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_dis_flow_finds_a_shift():
    clip = moving(2, 3)
    flow = DISFlow()(clip[:1], clip[1:])
    assert flow.shape == (1, 2, 48, 64)
    inner = flow[..., 8:-8, 8:-8]
    torch.testing.assert_close(inner.mean((0, 2, 3)), torch.tensor([-3.0, 0.0]), atol=0.2, rtol=0)
    assert rms((warp(clip[1:], flow) - clip[:1])[..., 8:-8, 8:-8]) < 0.02


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(strength=1.5), r"strength must be in \[0, 1\], got 1.5"),
        (dict(strength=float("nan")), r"strength must be in \[0, 1\]"),
        (dict(strength="much"), r"strength must be in \[0, 1\], got 'much'"),
        (dict(radius=0), "radius must be an integer >= 1, got 0"),
        (dict(input_tolerance=0), "input_tolerance must be a number > 0, got 0"),
        (dict(min_agreement=2), r"min_agreement must be in \[0, 1\], got 2"),
    ],
)
def test_arguments_out_of_range(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        framewise(stabiliser=options)
