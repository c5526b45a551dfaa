"""VEnhancer that generates what the key frames lack."""

import pytest
import torch
import torch.nn.functional as F

from tests.contract.tiny import RESTORERS
from vrestore.errors import ConfigError
from vrestore.registry import MODELS
from vrestore.restorers import Request
from vrestore.restorers.venhancer.residual import Residual

pytest.importorskip("torchsde")
TINY = RESTORERS["VEnhancer"]
STD = [0.1 + i / 10 for i in range(12)]


def keys(count=3):
    return torch.rand(12, count, 4, 4, generator=torch.Generator().manual_seed(2))


def test_the_base_fades_from_key_frame_to_key_frame():
    given = keys(3)
    base = Residual.base(given, torch.tensor([0, -1, 1, -1, -1, -1, 2]))
    assert torch.equal(base[:, [0, 2, 6]], given)
    torch.testing.assert_close(base[:, 1], (given[:, 0] + given[:, 1]) / 2)
    torch.testing.assert_close(base[:, 3], given[:, 1] * 0.75 + given[:, 2] * 0.25)
    torch.testing.assert_close(base[:, 5], given[:, 1] * 0.25 + given[:, 2] * 0.75)


def test_the_base_is_held_beyond_the_key_frames():
    given = keys(2)
    base = Residual.base(given, torch.tensor([-1, 0, 1, -1]))
    assert torch.equal(base, given[:, [0, 0, 1, 1]])
    assert torch.equal(Residual.base(given[:, :1], torch.tensor([0, -1, -1])), given[:, [0, 0, 0]])


def test_what_is_lacking_completes_the_base():
    residual, base = Residual(STD, 12), keys(3)
    latents = base + torch.randn(12, 3, 4, 4) * residual.std
    assert residual.lacking(latents, base).std() == pytest.approx(1, abs=0.1)
    torch.testing.assert_close(residual.completed(residual.lacking(latents, base), base), latents)
    half = Residual(STD, 12, gain=0.5)
    torch.testing.assert_close(half.completed(half.lacking(latents, base), base), (latents + base) / 2)
    with pytest.raises(ConfigError, match="residual_gain must be a number >= 0"):
        Residual(STD, 12, gain=-1)


def test_flat_areas_stay_flat():
    base = torch.zeros(1, 12, 2, 8, 16)
    base[..., 8:] = keys(1)[:, 0].repeat(1, 2, 2)[None, :, None]
    residual = Residual(STD, 12, gain=0.5, contrast=0.5)
    contrast = residual.contrast_of(base)
    assert contrast.shape == (1, 1, 2, 8, 16)
    assert not contrast[..., :6].any()
    assert contrast[..., 9:].min() > 0.5
    made = residual.completed(torch.ones_like(base), base)
    assert torch.equal(made[..., :6], base[..., :6])
    torch.testing.assert_close((made - base)[..., 9:], (residual.std * 0.5).expand(1, 12, 2, 8, 7))
    twice = Residual([2 * std for std in STD], 12).contrast_of(base)
    torch.testing.assert_close(twice, contrast / 2)


def test_where_nothing_lacks_the_enlarged_frames_come_out(monkeypatch):
    model = MODELS.build({**TINY, "residual_std": STD}).eval()
    monkeypatch.setattr(model, "denoise", lambda noised, *rest: torch.zeros_like(noised))
    frames = torch.rand(3, 3, 12, 16)
    large = F.interpolate(frames, scale_factor=2, mode="bilinear", align_corners=False)
    restored = model.restore(frames, Request(scale=2))
    torch.testing.assert_close(restored, large, atol=1e-5, rtol=0)
    twice = model.restore(frames, Request(scale=2, temporal_scale=2))
    torch.testing.assert_close(twice[:5:2], large, atol=1e-5, rtol=0)
    torch.testing.assert_close(twice[1], (large[0] + large[1]) / 2, atol=1e-5, rtol=0)


def test_the_base_may_be_enlarged_bicubically(monkeypatch):
    model = MODELS.build({**TINY, "residual_std": STD, "residual_kernel": "bicubic"}).eval()
    monkeypatch.setattr(model, "denoise", lambda noised, *rest: torch.zeros_like(noised))
    frames = torch.rand(2, 3, 12, 16)
    large = F.interpolate(frames, scale_factor=2, mode="bicubic", align_corners=False).clamp(0, 1)
    torch.testing.assert_close(model.restore(frames, Request(scale=2)), large, atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match="residual_kernel must be one of bilinear, bicubic"):
        MODELS.build({**TINY, "residual_std": STD, "residual_kernel": "lanczos"})


def test_training_asks_for_what_lacks(monkeypatch):
    model = MODELS.build({**TINY, "residual_std": STD, "training": {"trainable": "all"}})
    seen = {}
    diffuse = type(model.schedule).diffuse

    def noted(schedule, latents, *rest):
        seen.setdefault("latents", []).append(latents)
        return diffuse(schedule, latents, *rest)

    monkeypatch.setattr(type(model.schedule), "diffuse", noted)
    hq = torch.rand(1, 3, 3, 24, 32)
    small = F.interpolate(hq[0], scale_factor=0.5, mode="bilinear", align_corners=False)
    loss = model([small], hq, record=[{"noise_level": 0, "seed": 3}], mode="loss")["loss_v"]
    loss.backward()
    assert torch.isfinite(loss)
    latents = model.autoencoder.encode(hq)
    large = F.interpolate(small, size=(24, 32), mode="bilinear", align_corners=False)
    expected = model.residual.lacking(latents, model.autoencoder.encode(large[None]))
    torch.testing.assert_close(seen["latents"][-1], expected, atol=1e-5, rtol=1e-4)


def test_ways_of_the_controlnet_may_be_open_from_the_start():
    shut = MODELS.build({**TINY, "training": {"trainable": "all"}}).backbone.adapter
    open_ = MODELS.build({**TINY, "training": {"trainable": "all", "open_ways": 2.0}}).backbone.adapter
    for adapter, drawn in ((shut, False), (open_, True)):
        ways = [adapter.input_hint_block, adapter.scale_cond[-1], adapter.middle_block_out[0], adapter.zero_convs[0][0]]
        assert all(bool(way.weight.any()) == drawn for way in ways)


@pytest.mark.parametrize("std", [[1.0], [0.0] * 12, [float("nan")] * 12])
def test_impossible_deviations_are_refused(std):
    with pytest.raises(ConfigError, match="residual_std must be 12 numbers above 0"):
        MODELS.build({**TINY, "residual_std": std})
