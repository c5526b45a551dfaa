"""Bare weight files restore: those of our networks, and those that spandrel knows."""

import importlib

import pytest
import torch

from tests.checkpoints.parts import same_weights, small_basicvsr
from vrestore.checkpoints.recognised import FOREIGN, restorer_of
from vrestore.checkpoints.zoo import load_restorer
from vrestore.errors import WeightsError
from vrestore.inference import restore_video
from vrestore.registry import BACKBONES

OURS = {
    "BasicVSR": (small_basicvsr, "RegressionRestorer"),
    "RRDBNet": (
        lambda: BACKBONES.build(
            dict(type="RRDBNet", mid_channels=6, num_blocks=1, growth_channels=4, upscale_factor=2)
        ),
        "FramewiseRestorer",
    ),
    "SRVGGNetCompact": (
        lambda: BACKBONES.build(dict(type="SRVGGNetCompact", mid_channels=6, num_convs=1)),
        "FramewiseRestorer",
    ),
    "SwinIR": (
        lambda: BACKBONES.build(
            dict(
                type="SwinIR",
                embed_dim=8,
                depths=[2],
                num_heads=[2],
                window_size=4,
                img_size=8,
                upsampler="pixelshuffle",
            )
        ),
        "FramewiseRestorer",
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_ours(name, tmp_path):
    build, kind = OURS[name]
    network = build()
    torch.save({"params": network.state_dict()}, tmp_path / "w.pth")
    config = restorer_of(tmp_path / "w.pth")
    assert (config["type"], config["backbone"]["type"]) == (kind, name)
    restorer = load_restorer(str(tmp_path / "w.pth"), device="cpu")
    assert same_weights(restorer.backbone, network)
    frames = torch.rand(2, 3, 17, 19)
    assert restorer.restore(frames).shape == (2, 3, 17 * network.scale, 19 * network.scale)


def test_a_network_that_is_no_restorer(tmp_path):
    torch.save(BACKBONES.build(dict(type="SPyNet", num_levels=2)).state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds SPyNet, which is a part of restorers and restores nothing by itself"):
        load_restorer(str(tmp_path / "w.pth"))


@pytest.fixture
def dncnn():
    pytest.importorskip("spandrel")
    module = importlib.import_module("spandrel.architectures.DnCNN.__arch.network_dncnn")
    return module.DnCNN(in_nc=3, out_nc=3, nc=4, nb=17, act_mode="R").eval()


def test_foreign_files_restore_a_video_by_their_name_alone(dncnn, tmp_path):
    from PIL import Image

    torch.save({"params": dncnn.state_dict()}, tmp_path / "denoiser.pth")
    assert restorer_of(tmp_path / "denoiser.pth") == FOREIGN
    (tmp_path / "in").mkdir()
    for i in range(3):
        Image.effect_noise((20, 12), 30).convert("RGB").save(tmp_path / "in" / f"{i}.png")
    model = str(tmp_path / "denoiser.pth")
    report = restore_video(tmp_path / "in", tmp_path / "out", model, device="cpu", progress=False)
    assert report.frames_out == 3
    assert report.size_out == (20, 12)


def test_a_saved_restorer_of_a_foreign_network_loads_again(dncnn, tmp_path):
    torch.save(dncnn.state_dict(), tmp_path / "w.pth")
    restorer = load_restorer(str(tmp_path / "w.pth"), device="cpu")
    torch.save({"state_dict": restorer.state_dict()}, tmp_path / "whole.pth")
    config = {"type": "FramewiseRestorer", "backbone": {"type": "SpandrelImageNetwork"}}
    again = load_restorer(config, str(tmp_path / "whole.pth"), device="cpu")
    assert same_weights(again.backbone, restorer.backbone)
    frames = torch.rand(1, 3, 9, 9)
    assert torch.equal(again.restore(frames), restorer.restore(frames))


def test_without_spandrel_the_extra_is_named(dncnn, tmp_path, monkeypatch):
    torch.save(dncnn.state_dict(), tmp_path / "w.pth")
    real = importlib.import_module

    def absent(name, *args):
        if name == "spandrel":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(WeightsError, match=r"no known architecture.*'spandrel', which is not .*'vrestore\[image\]'"):
        load_restorer(str(tmp_path / "w.pth"))


def test_a_network_between_ours_and_theirs_goes_to_theirs(tmp_path):
    """ESRGAN+ shares its names with RRDBNet and adds some: it is spandrel's."""
    pytest.importorskip("spandrel")
    module = importlib.import_module("spandrel.architectures.ESRGAN.__arch.RRDB")
    network = module.RRDBNet(num_filters=8, num_blocks=1, plus=True)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    restorer = load_restorer(str(tmp_path / "w.pth"), device="cpu")
    assert restorer.backbone.architecture == "ESRGAN"


def test_unsafe_files_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"params": Evil()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="loading it could run code"):
        load_restorer(str(tmp_path / "w.pth"))
