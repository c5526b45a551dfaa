"""Encoded frames kept on disk."""

import pytest
import torch

from tests.contract.tiny import RESTORERS
from vrestore.autoencoders.latent_cache import LatentCache
from vrestore.errors import ConfigError
from vrestore.registry import AUTOENCODERS, MODELS


def build(**more):
    return AUTOENCODERS.build({"type": "WaveletAutoencoder", "levels": 2, **more})


def counted(coder, monkeypatch):
    calls, posterior_of = [], coder.posterior_of
    monkeypatch.setattr(coder, "posterior_of", lambda frames: calls.append(len(frames)) or posterior_of(frames))
    return calls


def test_a_frame_is_encoded_once_and_comes_back_bit_for_bit(tmp_path, monkeypatch):
    frames = torch.rand(1, 3, 3, 8, 8)
    expected = build().encode(frames)
    for encoded in (3, 0):  # the second coder finds what the first one left
        coder = build()
        coder.latent_cache = LatentCache(tmp_path)
        calls = counted(coder, monkeypatch)
        assert torch.equal(coder.encode(frames), expected)
        assert torch.equal(coder.encode(frames[:, 1:]), expected[:, :, 1:])
        assert len(calls) == encoded
    assert len(list(tmp_path.iterdir())) == 3


def test_draws_are_made_anew_from_what_is_kept(tmp_path):
    pytest.importorskip("diffusers")
    torch.manual_seed(0)
    coder = AUTOENCODERS.build({"type": "SDVAE", "block_out_channels": (32, 32), "layers_per_block": 1}).eval()
    frames = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        plain = [coder.encode(frames, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
        coder.latent_cache = LatentCache(tmp_path)
        for _ in range(2):
            kept = [coder.encode(frames, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
            assert all(torch.equal(a, b) for a, b in zip(kept, plain, strict=True))


def test_other_settings_and_other_frames_are_other_entries(tmp_path):
    frame = torch.rand(1, 3, 8, 8)
    caches = [LatentCache(tmp_path) for _ in range(3)]
    coders = [build(), build(scale_factor=0.5), build(band_std=[2.0] * 48)]
    keys = [cache.key(frame, coder) for cache, coder in zip(caches, coders, strict=True)]
    assert len({*keys, caches[0].key(frame + 0.1, coders[0])}) == 4


def test_a_damaged_file_is_made_again(tmp_path):
    coder, frames = build(), torch.rand(1, 3, 8, 8)
    coder.latent_cache = LatentCache(tmp_path)
    expected = coder.encode(frames)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:40])
    assert torch.equal(coder.encode(frames), expected)
    assert file.read_bytes() == whole


def test_it_stops_growing_and_says_so(tmp_path):
    coder = build()
    coder.latent_cache = LatentCache(tmp_path, most_bytes=1500)
    with pytest.warns(UserWarning, match="further frames are not kept"):
        coder.encode(torch.rand(3, 3, 8, 8))
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ConfigError, match="most_bytes must be above 0"):
        LatentCache(tmp_path, most_bytes=0)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        LatentCache(tmp_path / "file" / "folder")


def test_training_keeps_clean_frames_and_gives_the_same_loss(tmp_path):
    hq, lq = torch.rand(1, 3, 3, 24, 32), [torch.rand(3, 3, 12, 16)]
    losses = []
    for folder in (None, str(tmp_path), str(tmp_path)):
        torch.manual_seed(0)
        model = MODELS.build({**RESTORERS["VEnhancer"], "training": {"trainable": "all", "latent_cache": folder}})
        losses.append(float(model(lq, hq, record=[{"seed": 3}], mode="loss")["loss_v"].detach()))
    assert losses[0] == losses[1] == losses[2]
    assert len(list(tmp_path.iterdir())) == 3  # the key frames, which are degraded anew each time, are not kept
