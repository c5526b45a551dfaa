"""The contract, on every autoencoder at a tiny size."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from vrestore.autoencoders import Tiling
from vrestore.autoencoders.base import as_tiling
from vrestore.checkpoints import load_network
from vrestore.errors import ConfigError, RequestError, WeightsError
from vrestore.registry import AUTOENCODERS

SMALL = {"block_out_channels": (32, 32), "layers_per_block": 1}
PLAIN = {
    "IdentityAutoencoder": {"type": "IdentityAutoencoder"},
    "WaveletAutoencoder": {"type": "WaveletAutoencoder", "levels": 2},
}
NETWORKS = {
    "SDVAE": dict(type="SDVAE", **SMALL),
    "TemporalVAE": dict(type="TemporalVAE", **SMALL),
    "TinyVAE": {"type": "TinyVAE", "channels": 32, "encoder_blocks": (1, 1), "decoder_blocks": (1, 1)},
}


def build(name, **more):
    if name in NETWORKS:
        pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return AUTOENCODERS.build({**(PLAIN | NETWORKS)[name], **more}).eval()


def test_every_entry_is_tested():
    AUTOENCODERS.import_from_location()
    own = {name for name, e in AUTOENCODERS.module_dict.items() if e.__module__.startswith("vrestore.")}
    assert own == {*PLAIN, *NETWORKS}


@pytest.mark.parametrize("name", [*PLAIN, *NETWORKS])
@torch.no_grad()
def test_shapes_follow_the_declared_data(name):
    coder = build(name)
    step = coder.downsample
    frames = torch.rand(2, 3, coder.frame_channels, 4 * step, 6 * step)
    before = frames.clone()
    latents = coder.encode(frames)
    assert latents.shape == (2, coder.latent_channels, 3, 4, 6)
    assert latents.dtype == torch.float32
    assert torch.equal(frames, before)
    back = coder.decode(latents)
    assert back.shape == frames.shape
    assert back.min() >= 0
    assert back.max() <= 1
    torch.testing.assert_close(coder.encode(frames[0]), latents[:1], atol=1e-5, rtol=1e-4)
    blocks = list(coder.decode_blocks(latents))
    torch.testing.assert_close(torch.cat(blocks, dim=1), back, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [*PLAIN, *NETWORKS])
def test_scale_factor_scales_latents_alone(name):
    one, two = build(name, scale_factor=1.0), build(name, scale_factor=0.25)
    step = one.downsample
    frames = torch.rand(1, 2, 3, 2 * step, 2 * step)
    with torch.no_grad():
        latents = one.encode(frames)
        torch.testing.assert_close(two.encode(frames), latents * 0.25)
        torch.testing.assert_close(two.decode(latents * 0.25), one.decode(latents), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PLAIN)
def test_nothing_is_lost_without_a_network(name):
    coder = build(name)
    frames = torch.randint(0, 257, (2, 3, 3, 16, 24)) / 256  # sums of these are exact in float32
    assert torch.equal(coder.decode(coder.encode(frames)), frames)
    frames = torch.rand(3, 3, 16, 24)
    torch.testing.assert_close(coder.decode(coder.encode(frames))[0], frames, atol=1e-6, rtol=0)


def test_wavelets_keep_energy_and_collect_the_mean():
    coder = build("WaveletAutoencoder")
    frames = torch.rand(1, 1, 3, 32, 32)
    latents = coder.encode(frames)
    torch.testing.assert_close(latents.square().sum(), (frames * 2 - 1).square().sum())
    grey = coder.encode(torch.full((1, 1, 3, 8, 8), 0.75))
    assert torch.equal(grey[:, :3], torch.full((1, 3, 1, 2, 2), 2.0))  # 0.5 in [-1, 1], times 2 ** levels
    assert not grey[:, 3:].any()


@torch.no_grad()
def test_wavelets_of_video_colours_lose_fine_colour_alone():
    coder = build("WaveletAutoencoder", colour="ycbcr420", band_std=[1 + i / 10 for i in range(24)])
    assert coder.latent_channels == 24
    grey = torch.rand(1, 2, 1, 16, 24).expand(-1, -1, 3, -1, -1)
    torch.testing.assert_close(coder.decode(coder.encode(grey)), grey, atol=1e-5, rtol=0)
    flat = torch.tensor([0.2, 0.9, 0.4]).view(1, 1, 3, 1, 1).expand(1, 2, 3, 16, 24)
    torch.testing.assert_close(coder.decode(coder.encode(flat)), flat, atol=1e-5, rtol=0)
    frames = torch.rand(1, 2, 3, 16, 24)
    back = coder.decode(coder.encode(frames), clamp=False)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    torch.testing.assert_close((back * luma).sum(2), (frames * luma).sum(2), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_deviations_of_the_bands_divide_them():
    frames = torch.rand(1, 1, 3, 16, 16)
    deviations = torch.linspace(0.1, 2, 48)
    plain, even = build("WaveletAutoencoder"), build("WaveletAutoencoder", band_std=deviations.tolist())
    torch.testing.assert_close(even.encode(frames) * deviations.view(-1, 1, 1, 1), plain.encode(frames))
    assert not even.state_dict()  # settings, not weights


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"colour": "lab"}, "rgb, ycbcr420"),
        ({"colour": "ycbcr420", "channels": 1}, "3 channels"),
        ({"band_std": [1.0]}, "48 numbers above 0"),
        ({"band_std": [0.0] * 48}, "48 numbers above 0"),
        ({"levels": 0}, "levels >= 1"),
    ],
)
def test_impossible_wavelets_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        build("WaveletAutoencoder", **wrong)


@pytest.mark.parametrize("name", ["SDVAE", "TemporalVAE"])
@torch.no_grad()
def test_samples_come_from_the_generator_frame_by_frame(name):
    coder = build(name)
    frames = torch.rand(3, 3, 8, 12)
    mode = coder.encode(frames)
    one = coder.encode(frames, generator=torch.Generator().manual_seed(4))
    again = coder.encode(frames, generator=torch.Generator().manual_seed(4))
    assert torch.equal(one, again)
    rng = torch.Generator().manual_seed(4)
    for t in range(3):
        mean, log_variance = coder.posterior_of(frames[t : t + 1] * 2 - 1)
        want = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng)
        torch.testing.assert_close(one[:, :, t], want * coder.scale_factor, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(mode[:, :, t], mean * coder.scale_factor, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_temporal_decoder_sees_neighbours_and_a_plain_one_does_not():
    for name in ("SDVAE", "TemporalVAE"):
        coder = build(name)
        for parameter in coder.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
        latents = torch.randn(1, 4, 3, 4, 4)
        other = latents.clone()
        other[:, :, 2] += 1
        changed = (coder.decode(latents, clamp=False) - coder.decode(other, clamp=False))[0, 0].abs().max() > 1e-6
        assert changed == coder.is_temporal == (name == "TemporalVAE")


@torch.no_grad()
def test_encoding_in_tiles_stays_close():
    whole = build("TinyVAE")
    tiled = build("TinyVAE", encode_tiling={"tile_h": 12, "tile_w": 12, "overlap_h": 8, "overlap_w": 8})
    frames = torch.rand(1, 3, 64, 64)
    assert len(tiled.encode_tiling.tiles(32, 32)) > 4
    latents = whole.encode(frames)
    assert (latents - tiled.encode(frames)).abs().max() < 0.05 * latents.abs().max()


def test_gradients_reach_the_network():
    coder = build("SDVAE")
    coder.decode(coder.encode(torch.rand(1, 3, 8, 8)), clamp=False).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in coder.parameters())


@pytest.mark.parametrize(
    "frames",
    [
        torch.rand(3, 16, 16),
        torch.rand(1, 4, 16, 16),
        torch.rand(1, 3, 15, 16),
        torch.rand(0, 3, 16, 16),
        torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
    ],
)
def test_impossible_frames_are_refused(frames):
    with pytest.raises(RequestError, match="frames"):
        build("WaveletAutoencoder").encode(frames)


@pytest.mark.parametrize("name", ["IdentityAutoencoder", "SDVAE"])
@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (1, 7, 1, 8, 8), (1, 3, 0, 8, 8)])
def test_impossible_latents_are_refused(name, shape):
    with pytest.raises(RequestError, match="decodes latents"):
        build(name).decode(torch.zeros(shape))


def test_tiling_comes_from_a_config():
    assert as_tiling({"tile_h": 10, "overlap_h": 2}) == Tiling(tile_h=10, overlap_h=2)
    with pytest.raises(ConfigError, match="no 'tile'"):
        as_tiling({"tile": 10})


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_weights_come_back_through_load_network(name, tmp_path):
    coder = build(name)
    state = {key: value + 0.01 for key, value in coder.state_dict().items()}
    save_file(state, tmp_path / "vae.safetensors")
    told = {k: v for k, v in NETWORKS[name].items() if k in ("encoder_blocks", "decoder_blocks")}
    loaded = load_network(tmp_path / "vae.safetensors", **told)
    assert type(loaded) is type(coder)
    copied = copy.deepcopy(coder)
    copied.load_state_dict(state)
    frames = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded.encode(frames), copied.encode(frames))
    assert load_network(tmp_path / "vae.safetensors", dtype="bf16", **told).encode(frames).dtype == torch.float32
    state.popitem()
    with pytest.raises(WeightsError, match="1 missing"):
        load_network(state, **told)
