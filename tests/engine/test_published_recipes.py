"""The training configs of the published recipes: their figures, and one step of each at tiny size."""

import pytest
import torch

from tests.contract import tiny
from tests.engine.parts import clip_dataset, read_log
from tests.paths import ROOT
from vrestore import load_restorer
from vrestore.config import load_config
from vrestore.engine.several_optimisers import optimiser_parts
from vrestore.engine.train import train

CONFIGS = ROOT / "configs"
GAN = ("real_basicvsr/real_basicvsr.py", "realesrgan/realesrgan_x4plus.py")
SMALL = {"RealBasicVSR": tiny.REALBASICVSR, "EDVR": {**tiny.EDVR, "num_frames": 5}}
SMALL["RRDBNet"] = {**tiny.IMAGE_BACKBONES["RRDBNet"], "upscale_factor": 4}
TRAINED = [
    "real_basicvsr/real_basicvsr_wogan.py",
    "realesrgan/realesrnet_x4plus.py",
    *(f"edvr/edvr_{name}_reds4.py" for name in ("l", "l_wotsa", "m", "m_wotsa")),
    *GAN,
]
ADAM = {"type": "Adam", "betas": (0.9, 0.99)}


def shrunk(name, clips) -> dict:
    """A shipped config with its losses, optimisers and schedules, a tiny network and noise for data."""
    config = load_config(CONFIGS / name).to_dict()
    backbone = config["model"]["backbone"]
    config["model"]["backbone"] = {**SMALL[backbone["type"]], **({"with_tsa": False} if "wotsa" in name else {})}
    if "discriminator" in config["model"]:
        config["model"]["discriminator"]["mid_channels"] = 2
        config["model"]["perceptual_loss"] |= {"weights": None, "untrained": True, "channels": (2, 2, 4, 4, 4)}
    clip_dataset(clips, clips=1, frames=5, size=40)
    config["train_dataloader"]["dataset"] |= {"roots": str(clips), "exclude": [], "crop_px": 32, "progress": False}
    config["train_dataloader"]["dataset"]["frames"] = min(config["train_dataloader"]["dataset"]["frames"], 5)
    config["train_dataloader"] |= {"batch_size": 2, "num_workers": 0}
    for part in ("val_dataloader", "val_evaluator", "visualizer"):
        config.pop(part)
    kept = [hook for hook in config["custom_hooks"] if hook["type"] not in ("StartFromHook", "SampleImageHook")]
    return {**config, "custom_hooks": kept, "train_cfg": {"max_iters": 1}}


@pytest.mark.parametrize("name", TRAINED)
def test_one_step(name, tmp_path):
    config = shrunk(name, tmp_path / "clips")
    torch.manual_seed(0)
    runner = train(config, work_dir=tmp_path / "run")
    (row,) = read_log(tmp_path / "run")
    rates = {key: part["optimizer"]["lr"] for key, part in optimiser_parts(config["optim_wrapper"]).items()}
    assert row["lr"] == pytest.approx(next(iter(rates.values())))
    assert ("loss_cleaning" in row) == ("basicvsr" in name)
    adversarial = name in GAN
    for loss in ("loss_gan", "loss_perceptual", "loss_d_real", "lr_discriminator"):
        assert (loss in row) == adversarial
    if adversarial:
        assert row["lr_discriminator"] == pytest.approx(1e-4)
        assert runner.optim_wrapper.stepped
    restored = load_restorer(tmp_path / "run" / "weights.safetensors", device="cpu").restore(torch.rand(5, 3, 8, 8))
    assert restored.shape == (5, 3, 32, 32)


@pytest.mark.parametrize("name", GAN)
def test_adversarial_figures(name):
    config = load_config(CONFIGS / name)
    video = "basicvsr" in name
    model, optimisers = config.model, optimiser_parts(config.optim_wrapper.to_dict())
    assert {k: v["optimizer"] for k, v in optimisers.items()} == {
        "generator": {**ADAM, "lr": 5e-5 if video else 1e-4},
        "discriminator": {**ADAM, "lr": 1e-4},
    }
    assert config.train_cfg.max_iters == (150_000 if video else 400_000)
    assert config.train_dataloader.batch_size == (8 if video else 48)
    assert (model.gan_loss.gan_type, model.gan_loss.loss_weight) == ("vanilla", 0.05 if video else 0.1)
    assert list(model.perceptual_loss.layer_weights.values()) == [0.1, 0.1, 1, 1, 1]
    assert (model.pixel_loss.type, model.discriminator.mid_channels) == ("L1Loss", 64)
    hooks = {hook["type"]: hook for hook in config.custom_hooks}
    assert hooks["EMAHook"]["momentum"] == 0.001
    assert ("wogan" if video else "RealESRNet") in hooks["StartFromHook"]["parts"]["backbone"]
    sharpen = [t for t in config.train_dataloader.dataset.transforms if t["type"] == "UnsharpMask"]
    assert [t["keep"] for t in sharpen] == [True]
    assert not config.param_scheduler


def test_first_stage_figures():
    config = load_config(CONFIGS / "realesrgan/realesrnet_x4plus.py")
    assert config.optim_wrapper.optimizer.to_dict() == {**ADAM, "lr": 2e-4}
    assert (config.train_cfg.max_iters, config.train_dataloader.batch_size) == (1_000_000, 48)
    data = config.train_dataloader.dataset
    assert (data.crop_px, data.frames, data.degradation.protocol) == (256, 1, "realesrgan-x4")


@pytest.mark.parametrize(
    ("name", "batch", "rate", "periods", "weights"),
    [
        ("m", 32, 2e-4, [50_000, 100_000, 150_000, 150_000, 150_000], [1] * 5),
        ("m_wotsa", 32, 4e-4, [150_000] * 4, [1, 0.5, 0.5, 0.5]),
        ("l", 64, 2e-4, [150_000] * 4, [1, 0.5, 0.5, 0.5]),
        ("l_wotsa", 64, 2e-4, [150_000] * 4, [1, 0.5, 0.5, 0.5]),
    ],
)
def test_restarts_of_edvr(name, batch, rate, periods, weights):
    config = load_config(CONFIGS / f"edvr/edvr_{name}_reds4.py")
    (schedule,) = config.param_scheduler
    assert (schedule["periods"], schedule["restart_weights"], schedule["eta_min"]) == (periods, weights, 1e-7)
    assert sum(periods) == config.train_cfg.max_iters == 600_000
    assert (config.train_dataloader.batch_size, config.optim_wrapper.optimizer.lr) == (batch, rate)


@pytest.mark.parametrize("name", GAN)
def test_restoring_with_an_adversarial_config_fetches_nothing(name, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is downloaded to restore")

    monkeypatch.setattr("vrestore.checkpoints.zoo.fetch", refuse)
    model = load_config(CONFIGS / name).model.to_dict()
    model["backbone"] = SMALL[model["backbone"]["type"]]
    restorer = load_restorer(model, device="cpu")
    assert restorer.restore(torch.rand(2, 3, 16, 16)).shape == (2, 3, 64, 64)
    assert not any("discriminator" in part for part, _ in restorer.named_parameters())
