"""The VAEs and the tiled decoding of VEnhancer against the stored outputs of the official code and of diffusers."""

from functools import cache

import pytest
import torch

from tests.parity import venhancer_references as ref
from vrestore.autoencoders import SDVAE, Autoencoder, TemporalVAE, Tiling
from vrestore.autoencoders.tiling import blend_time, decode_in_pieces, gaussian_weights
from vrestore.checkpoints import load_network
from vrestore.checkpoints.architectures import identify
from vrestore.checkpoints.weightless import weightless


@pytest.fixture
def diffusers():
    return pytest.importorskip("diffusers")


@cache
def vae(name: str) -> Autoencoder:
    """The network of an entry, loaded by its official names alone."""
    params = ref.manifest()[name]["params"]
    names = params["names"]
    names = names if isinstance(names, dict) else ref.read_json(names)["keys"]
    return load_network({n: ref.make_weight(n, shape, params["fill_prefix"]) for n, shape in names.items()})


def check_frames(entry: dict, coder: Autoencoder, frames: torch.Tensor) -> None:
    """Hold the encoding of frames (N, 3, H, W) in [-1, 1] to an entry."""
    mean, log_variance = coder.posterior(frames)
    ref.check(entry, "mean", mean)
    ref.check(entry, "logvar", log_variance)


@pytest.mark.usefixtures("diffusers")
@pytest.mark.parametrize("name", ["f_vae_reduced", pytest.param("f_vae_full", marks=pytest.mark.slow)])
@torch.no_grad()
def test_sd_vae(name):
    entry, coder = ref.manifest()[name], vae(name)
    assert isinstance(coder, SDVAE)
    x, z = (ref.make_input(entry["inputs"][key]) for key in ("x", "z"))
    check_frames(entry, coder, x)
    rng = torch.Generator().manual_seed(entry["manual_seed"])
    ref.check(entry, "latent_sample", coder.encode(x / 2 + 0.5, generator=rng)[0].transpose(0, 1))
    for key, latents in (("dec", z), ("dec_small", z * 0.003)):
        frames = coder.decode(latents[:, :, None] * coder.scale_factor, clamp=False)
        ref.check(entry, key, frames[:, 0] * 2 - 1)


@pytest.mark.usefixtures("diffusers")
@torch.no_grad()
def test_temporal_vae():
    entry, coder = ref.manifest()["f_vae_temporal"], vae("f_vae_temporal")
    assert isinstance(coder, TemporalVAE)
    x, z = (ref.make_input(entry["inputs"][key]) for key in ("x", "z"))
    check_frames(entry, coder, x)
    assert len(z) == entry["inputs"]["num_frames"]
    latents = z.transpose(0, 1)[None] * coder.scale_factor
    ref.check(entry, "dec", coder.decode(latents, clamp=False)[0] * 2 - 1)
    ref.check(entry, "dec_1frame", coder.decode(latents[:, :, :1], clamp=False)[0] * 2 - 1)


@pytest.mark.usefixtures("diffusers")
@pytest.mark.parametrize(
    ("listed", "kind", "parameters"),
    [("keys_vae.json", "SDVAE", 83_653_863), ("keys_vae_temporal.json", "TemporalVAE", 97_742_847)],
)
def test_official_names_and_shapes(listed, kind, parameters):
    listed = ref.read_json(listed)
    official = {name: torch.empty(shape, device="meta") for name, shape in listed["keys"].items()}
    for prefix in ("", "first_stage_model."):
        beside = {"model.diffusion_model.out.0.weight": torch.empty(1)} if prefix else {}
        architecture, renamed = identify({**{prefix + n: v for n, v in official.items()}, **beside})
        assert architecture.backbone == kind
        assert shapes(renamed) == listed.get("diffusers_keys", listed["keys"])
        assert shapes(architecture.rename(renamed)) == shapes(renamed)
    with weightless():
        coder = architecture.build(architecture.arguments(renamed, {}))
    assert ref.shapes(coder) == shapes(renamed)
    assert sum(p.numel() for p in coder.parameters()) == parameters


def test_names_are_mapped_as_listed():
    listed = ref.read_json("keys_vae.json")
    weights = {name: torch.empty(shape, device="meta") for name, shape in listed["keys"].items()}
    _, renamed = identify(weights, wanted="LDM VAE")
    # Renaming keeps the order, so the n-th name of the one is the n-th of the other.
    assert dict(zip(weights, renamed, strict=True)) == listed["ldm_to_diffusers"]


def shapes(weights: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in weights.items()}


def test_tiled_decode():
    entry = ref.manifest()["i_tiled_decode"]
    seen = []

    def decode(z):
        """What the entry's notes say: latents enlarged, plus the number of the frame and two ramps over the tile."""
        seen.append([z.shape[2], *z.shape[1:2], *z.shape[3:]])
        frames = z[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2)
        count, height, width = frames.shape[2:]
        number = 0.1 * torch.arange(count).view(-1, 1, 1)
        rows, columns = torch.linspace(0, 1, height).view(-1, 1), torch.linspace(0, 1, width)
        return frames + number + 0.5 * rows - 0.25 * columns

    z = ref.make_input(entry["inputs"]["z"])
    images = torch.cat(list(decode_in_pieces(decode, z, Tiling(), 8)), dim=2)
    assert sorted(seen) == sorted(entry["decoder_calls"])
    ref.check(entry, "images", images)


def test_weights_of_tiles_and_blending_of_windows():
    entry = ref.manifest()["i_tiled_decode"]
    told = entry["inputs"]["gaussian_weights"]
    ref.check(entry, "gaussian_weights", gaussian_weights(told["tile_height"], told["tile_width"]))
    before, after = (ref.make_input(entry["inputs"][f"blend_{key}"]) for key in "ab")
    ref.check(entry, "blend", blend_time(before, after, 3))
