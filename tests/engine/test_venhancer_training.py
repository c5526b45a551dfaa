"""VEnhancer through the engine: exact resume, averages, LoRA files, weights to start from, spikes, memory, configs."""

import logging

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.contract.tiny import RESTORERS
from tests.engine.parts import PowerCut, assert_same_run, read_log, with_hook
from tests.engine.venhancer import tiny_training
from tests.paths import ROOT
from vrestore.checkpoints.weightless import weightless
from vrestore.checkpoints.zoo import load_restorer
from vrestore.config import load_config
from vrestore.engine import plan
from vrestore.engine.checks import check_training_config, check_training_size
from vrestore.engine.train import prepare_config, train
from vrestore.errors import ConfigError, RegistryError, TrainingError, WeightsError
from vrestore.layers.lora import is_lora, merged_state
from vrestore.memory import GIB
from vrestore.registry import MODELS
from vrestore.restorers import Request

pytest.importorskip("torchsde")
LORA = {"model.training": {}, "model.lora": {"rank": 2}}
ALL = {"model.training": {"trainable": "all"}, "optim_wrapper.precision": "bf16", "train_dataloader.num_workers": 1}


def checkpoint(folder, name="iter_6.pth"):
    return torch.load(folder / name, weights_only=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**ALL, "optim_wrapper.accumulative_counts": 2, "custom_hooks": [{"type": "EMAHook", "momentum": 0.1}]},
        LORA,
    ],
    ids=["controlnet", "all-bf16-accumulation-EMAHook", "lora"],
)
def test_cut_and_resumed_run_equals_an_uninterrupted_one(tmp_path, changes):
    config = tiny_training(**changes)
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=5), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut", last="iter_6.pth")


def test_draws_without_a_seed_in_the_record_resume_exactly_too(tmp_path, monkeypatch):
    from tests.engine.venhancer import TinyKeyFrames

    whole = TinyKeyFrames.__getitem__

    def unseeded(self, draw):
        sample = whole(self, draw)
        sample["record"].pop("seed")
        return sample

    monkeypatch.setattr(TinyKeyFrames, "__getitem__", unseeded)
    config = tiny_training()
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=3), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut", last="iter_6.pth")


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    train(tiny_training(**LORA), work_dir=folder)
    return folder


class TestWhatIsLeft:
    def test_frozen_weights_stay_and_have_no_state(self, tmp_path):
        train(tiny_training(), work_dir=tmp_path)
        saved = checkpoint(tmp_path)
        torch.manual_seed(3)
        names = [name for name, p in MODELS.build(tiny_training()["model"]).named_parameters() if p.requires_grad]
        assert all(name.startswith("backbone.VideoControlNet.") for name in names)
        assert {name.removeprefix("module.") for name in saved["ema_state_dict"]} == set(names)
        assert len(saved["optimizer"]["state"]) == len(names)

    def test_the_average_is_what_is_saved_and_exported(self, tmp_path):
        train(tiny_training(), work_dir=tmp_path)
        saved, name = checkpoint(tmp_path), "VideoControlNet.input_hint_block.weight"
        averaged, last = saved["state_dict"][f"backbone.{name}"], saved["ema_state_dict"][f"module.backbone.{name}"]
        assert not torch.equal(averaged, last)
        assert averaged.norm() < last.norm()  # it starts at zero and follows slowly
        assert torch.equal(load_file(tmp_path / "weights.safetensors")[name], averaged)

    def test_a_lora_is_saved_alone_and_merged(self, lora_run):
        state = {n.removeprefix("backbone."): v for n, v in checkpoint(lora_run)["state_dict"].items()}
        alone = load_file(lora_run / "lora.safetensors")
        assert set(alone) == {name for name in state if is_lora(name)}
        assert all(torch.equal(value, state[name]) for name, value in alone.items())
        size = (lora_run / "lora.safetensors").stat().st_size
        assert size < (lora_run / "weights.safetensors").stat().st_size / 4
        with safe_open(lora_run / "lora.safetensors", "pt") as file:
            assert file.metadata()["kind"] == "lora"
        merged = load_file(lora_run / "weights.safetensors")
        assert not any(is_lora(name) for name in merged)

    def test_a_lora_file_is_loaded_over_its_base_and_equals_the_merged_weights(self, lora_run, tmp_path):
        state = checkpoint(lora_run)["state_dict"]
        base = {
            n.removeprefix("backbone."): v for n, v in state.items() if n.startswith("backbone.") and not is_lora(n)
        }
        save_file(base, tmp_path / "base.safetensors")
        config = {
            **RESTORERS["VEnhancer"],
            "weights": {"lora": str(lora_run / "lora.safetensors"), "backbone": str(tmp_path / "base.safetensors")},
        }
        frames = torch.rand(2, 3, 12, 16)
        apart = load_restorer({**config, "defer_weights": True}).restore(frames, Request(scale=2))
        merged = load_restorer(str(lora_run / "weights.safetensors")).restore(frames, Request(scale=2))
        assert torch.equal(apart, merged)
        plain = {**config, "weights": {"backbone": str(tmp_path / "base.safetensors")}}
        assert not torch.equal(load_restorer(plain).restore(frames, Request(scale=2)), merged)

    def test_a_lora_of_another_network_is_refused(self, lora_run, tmp_path):
        state = load_file(lora_run / "lora.safetensors")
        name = next(name for name in state if name.endswith("lora_up"))
        other = {**state, name: torch.zeros(7, state[name].shape[1])}
        save_file(other, tmp_path / "other.safetensors")
        save_file({"a": torch.zeros(2)}, tmp_path / "none.safetensors")
        for file, message in (("other", "is of another network: it adapts"), ("none", "is no file of LoRA weights")):
            with pytest.raises(WeightsError, match=message):
                load_restorer({**RESTORERS["VEnhancer"], "weights": {"lora": str(tmp_path / f"{file}.safetensors")}})


class TestStart:
    def unet_file(self, tmp_path):
        torch.manual_seed(9)
        donor = MODELS.build(RESTORERS["VEnhancer"]).unet
        with torch.no_grad():
            for parameter in donor.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.02)
        save_file({n: v.clone() for n, v in donor.state_dict().items()}, tmp_path / "unet.safetensors")
        return donor.state_dict()

    @pytest.mark.parametrize("deferred", [False, True])
    def test_from_a_unet_alone_the_controlnet_is_its_copy(self, tmp_path, deferred):
        state = self.unet_file(tmp_path)
        changes = {
            "model.weights": {"unet": str(tmp_path / "unet.safetensors")},
            "optim_wrapper.optimizer.lr": 0.0,
            "train_cfg.max_iters": 1,
        }
        if deferred:
            changes["model.defer_weights"] = True
        runner = train(tiny_training(**changes), work_dir=tmp_path / "run")
        trained = runner.model.backbone.state_dict()
        for name, value in state.items():
            assert torch.equal(trained[name], value)
            if not name.startswith(("output_blocks", "out.")):
                assert torch.equal(trained[f"VideoControlNet.{name}"], value), name

    def test_lora_over_weights_that_have_none(self, tmp_path):
        torch.manual_seed(9)
        donor = MODELS.build({**RESTORERS["VEnhancer"], "type": "ShakenVEnhancer"}).backbone.state_dict()
        save_file({n: v.clone() for n, v in donor.items()}, tmp_path / "base.safetensors")
        for changes in (
            {"model.weights": {"backbone": str(tmp_path / "base.safetensors")}},
            {"model.weights": {"backbone": str(tmp_path / "base.safetensors")}, "model.defer_weights": True},
            {"load_from": str(tmp_path / "base.safetensors")},
        ):
            config = tiny_training(**LORA, **changes, **{"train_cfg.max_iters": 2, "optim_wrapper.optimizer.lr": 1e-4})
            trained = train(config, work_dir=tmp_path / "run").model.backbone.state_dict()
            assert all(torch.equal(trained[name], value) for name, value in donor.items())
            assert any(value.any() for name, value in trained.items() if name.endswith("lora_up"))
            # What it began with lies there still, and is not loaded over it.
            merged = merged_state(checkpoint(tmp_path / "run", "iter_2.pth")["state_dict"])
            for file in ("weights.safetensors", "iter_2.pth"):
                loaded = merged_state(load_restorer(str(tmp_path / "run" / file)).state_dict())
                assert all(torch.equal(loaded[name], value) for name, value in merged.items())

    def test_deferred_weights_resume_from_the_checkpoint_alone(self, tmp_path):
        torch.manual_seed(9)
        donor = MODELS.build({**RESTORERS["VEnhancer"], "type": "ShakenVEnhancer"}).backbone.state_dict()
        file = tmp_path / "base.safetensors"
        save_file({n: v.clone() for n, v in donor.items()}, file)
        config = tiny_training(**{"model.weights": {"backbone": str(file)}, "model.defer_weights": True})
        train(config, work_dir=tmp_path / "whole")
        with pytest.raises(PowerCut):
            train(with_hook(config, type="EndAt", at=5), work_dir=tmp_path / "cut")
        file.unlink()
        train(config, work_dir=tmp_path / "cut", resume=True)
        assert_same_run(tmp_path / "whole", tmp_path / "cut", last="iter_6.pth")
        with pytest.raises(WeightsError, match=r"base\.safetensors"):
            train(config, work_dir=tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_a_crop_that_the_network_cannot_serve_is_refused_before_any_work(self, tmp_path):
        config = tiny_training(**{"train_dataloader.dataset.crop_px": (14, 8), "train_dataloader.dataset.frames": 3})
        with pytest.raises(ConfigError, match=r"train_dataloader\.dataset: .*14x8 .*crop_px=\(12, 8\) or \(16, 8\)"):
            train(config, work_dir=tmp_path / "run")
        assert not (tmp_path / "run").exists()


class TestNothingLost:
    def test_nan_stops_with_the_names_of_the_clips(self, tmp_path):
        config = tiny_training(**{"train_dataloader.dataset.bad_draws": [5]})
        with pytest.raises(TrainingError, match=r"NaN or infinite at iteration 3, .*clip_4, clip_5.*iter_2\.pth"):
            train(config, work_dir=tmp_path)

    def test_a_leaping_loss_stops_with_the_names_of_the_clips(self, tmp_path):
        spike = {"type": "LossSpikeHook", "factor": 50.0, "window": 2, "patience": 2}
        loud = {"train_dataloader.dataset.loud_draws": [*range(8, 12)], "custom_hooks": [spike]}
        with pytest.raises(TrainingError, match=r"the loss leapt to .* at iteration 6, .* clip_10, clip_11, clip_8, c"):
            train(tiny_training(**loud), work_dir=tmp_path)
        assert (tmp_path / "last_checkpoint").read_text().strip() == "iter_4.pth"
        one = {"train_dataloader.dataset.loud_draws": [8], "custom_hooks": [spike]}
        train(tiny_training(**one), work_dir=tmp_path / "one")  # one clip alone is no reason
        assert len(read_log(tmp_path / "one")) == 6

    @pytest.mark.parametrize("settings", [{"factor": 1}, {"patience": 0}, {"window": 1}, {"window": 1000}])
    def test_impossible_settings(self, tmp_path, settings):
        with pytest.raises(ConfigError, match=f"LossSpikeHook: {next(iter(settings))} must be"):
            train(tiny_training(custom_hooks=[{"type": "LossSpikeHook", **settings}]), work_dir=tmp_path / "run")

    def test_another_models_checkpoint_is_refused(self, tmp_path, lora_run):
        with pytest.raises(WeightsError, match="another model"):
            train(tiny_training(), work_dir=tmp_path / "run", resume=lora_run / "iter_6.pth")


def sharded(config: dict, **strategy) -> dict:
    return {**config, "strategy": {"type": "FSDPStrategy", **strategy}}


class TestStrategy:
    def test_one_process_trains_as_without(self, tmp_path):
        train(tiny_training(), work_dir=tmp_path / "plain")
        train(sharded(tiny_training()), work_dir=tmp_path / "sharded")
        assert_same_run(tmp_path / "plain", tmp_path / "sharded", last="iter_6.pth")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"custom_hooks": [{"type": "EMAHook"}]}, r"custom_hooks\[0\]: EMAHook copies .*type='TrainedEMAHook'"),
            ({"optim_wrapper.precision": "fp16"}, "fp16 is not served with a strategy"),
            (
                {"val_dataloader": {"dataset": {"type": "TinyKeyFrames"}}, "val_evaluator": {"type": "PSNR"}},
                "validation is not served with a strategy",
            ),
        ],
    )
    def test_what_it_cannot_do_is_refused(self, changes, message):
        with pytest.raises(ConfigError, match=message):
            check_training_config(prepare_config(sharded(tiny_training(**changes))))

    def test_a_misspelt_one_names_the_closest(self):
        with pytest.raises(RegistryError, match="closest: FSDPStrategy"):
            check_training_config(prepare_config({**tiny_training(), "strategy": {"type": "FDSPStrategy"}}))
        with pytest.raises(ConfigError, match="did you mean 'units'"):
            check_training_config(prepare_config(sharded(tiny_training(), unit=["ResBlock"])))


@pytest.fixture(scope="module")
def full():
    """The recipe of the paper at its size, without memory."""
    cfg = prepare_config(load_config(ROOT / "configs/venhancer/venhancer_train_720p.py"))
    with weightless():
        return cfg, MODELS.build({**cfg.model, "weights": None})


class TestMemory:
    def test_weights_gradients_and_optimiser_are_counted_and_divided(self, full, monkeypatch):
        cfg, model = full
        monkeypatch.setattr(type(model), "training_need", lambda *_: {"forward and backward": 5 * GIB})
        alone, shared = plan.step_memory(model, cfg), plan.step_memory(model, cfg, shards=16)
        autoencoder = sum(p.nbytes for p in model.autoencoder.parameters())
        assert alone.weights == 2_044_809_796 * 4 + autoencoder
        assert alone.gradients == alone.average == 633_575_936 * 4
        assert alone.optimiser == 2 * 633_575_936 * 4
        assert shared.weights == 2_044_809_796 * 4 // 16 + autoencoder
        assert shared.optimiser == alone.optimiser // 16
        assert alone.gathered == 0
        assert 0.1 * GIB < shared.gathered < 2 * GIB
        assert alone.total > shared.total + 10 * GIB
        assert "optimiser 4.7" in str(alone)

    def test_a_step_that_does_not_fit_is_warned_of(self, full, monkeypatch, caplog):
        cfg, model = full
        monkeypatch.setattr(type(model), "training_need", lambda *_: {"forward and backward": 5 * GIB})
        monkeypatch.setattr(plan, "free_memory_bytes", lambda device: 20 * GIB)
        with caplog.at_level(logging.INFO, "vrestore"):
            plan.check_memory(model, cfg)
        assert "a training step takes about" in caplog.text
        assert "20.0 GiB are free: it will probably run out of memory" in caplog.text

    def test_small_models_are_not_foreseen(self):
        cfg = prepare_config(tiny_training(**{"train_dataloader.dataset.crop_px": (12, 8)}))
        assert plan.step_memory(MODELS.build(cfg.model), cfg) is None

    def test_the_foreseen_step_grows_with_what_trains_and_shrinks_with_checkpointing(self):
        torch.manual_seed(0)
        needs = {}
        for name, training, checkpointing in (
            ("controlnet", {}, False),
            ("all", {"trainable": "all"}, False),
            ("saving", {"trainable": "all"}, True),
        ):
            with weightless():
                model = MODELS.build({**RESTORERS["VEnhancer"], "training": training})
                model.backbone.set_gradient_checkpointing(checkpointing)
            needs[name] = model.training_need(2, 16, 260, 128)["forward and backward"]
        assert needs["saving"] < needs["controlnet"] < needs["all"]


@pytest.mark.parametrize(
    ("name", "crop"), [("venhancer_tiny_train", (104, 112)), ("venhancer_train_720p", (720, 1280))]
)
def test_crops_of_the_shipped_configs_are_legal(name, crop):
    cfg = prepare_config(load_config(ROOT / f"configs/venhancer/{name}.py"))
    with weightless():
        model = MODELS.build({**cfg.model, "weights": None})
    check_training_size(model, cfg)
    assert tuple(cfg.train_dataloader.dataset.crop_px) == crop
