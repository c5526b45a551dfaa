"""A run with a generator, a discriminator and an optimiser each."""

import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from tests.engine.adversarial import ADAM, adversarial_config, perceptual
from tests.engine.parts import PowerCut, assert_same_run, read_log, tiny_config, with_hook
from vrestore import load_network, load_restorer
from vrestore.checkpoints.architectures import ARCHITECTURES, Architecture
from vrestore.engine.train import train
from vrestore.errors import ConfigError, TrainingError

SHORT = {"train_cfg.max_iters": 4}
ACCUMULATING = {
    "optim_wrapper.accumulative_counts": 2,
    "optim_wrapper.precision": "bf16",
    "default_hooks.checkpoint.interval": 6,
    "default_hooks.logger.interval": 5,
    "model.disc_steps": 2,
    "model.disc_init_steps": 1,
}


def state_of(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    ("changes", "cut_at"),
    [({"model.perceptual_loss": perceptual(), "channels_last": True}, 9), (ACCUMULATING, 9)],
    ids=["perceptual", "bf16-accumulation-more-steps-of-the-discriminator"],
)
def test_cut_and_resumed_run_equals_an_uninterrupted_one(tmp_path, changes, cut_at):
    config = adversarial_config(**changes)
    train(config, work_dir=tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(with_hook(config, type="EndAt", at=cut_at), work_dir=tmp_path / "cut")
    train(config, work_dir=tmp_path / "cut", resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_the_log_tells_both_sides(tmp_path):
    train(adversarial_config(**SHORT, param_scheduler=[]), work_dir=tmp_path)
    row = read_log(tmp_path)[-2]
    parts = ("loss_pixel", "loss_cleaning", "loss_gan")
    assert row["loss"] == pytest.approx(sum(row[name] for name in parts))
    assert {"loss_d_real", "loss_d_fake", "score_real", "score_fake"} <= set(row)
    assert 0 < row["grad_norm_discriminator"] != row["grad_norm"] > 0
    assert (row["lr"], row["lr_1"], row["lr_discriminator"]) == pytest.approx((1e-2, 5e-3, 2e-2))


def test_schedules_hold_for_all_or_for_each(tmp_path):
    steps = [{"type": "MultiStepLR", "milestones": [2], "gamma": 0.1}]
    each = {"generator": steps, "discriminator": []}
    for schedule, lowered in ((steps, 2e-3), (each, 2e-2)):
        train(adversarial_config(**SHORT, param_scheduler=schedule), work_dir=tmp_path / str(lowered))
        rows = read_log(tmp_path / str(lowered))
        assert [row["lr"] for row in rows[:4]] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3])
        assert rows[3]["lr_discriminator"] == pytest.approx(lowered)


def test_a_bad_clip_ends_the_run_and_is_named(tmp_path):
    config = adversarial_config(**{"train_dataloader.dataset.bad_draws": [5], "default_hooks.checkpoint.interval": 1})
    with pytest.raises(TrainingError, match=r"the loss of the generator is NaN.* at iteration 3, in .* clip_4, clip_5"):
        train(config, work_dir=tmp_path)
    assert (tmp_path / "last_checkpoint").read_text().strip() == "iter_2.pth"


def test_a_discriminator_that_breaks_ends_the_run(tmp_path):
    optim = {"generator": {"optimizer": ADAM}, "discriminator": {"optimizer": {"type": "SGD", "lr": 1e30}}}
    with pytest.raises(TrainingError, match=r"of the (discriminator|generator) is NaN or infinite at iteration \d"):
        train(adversarial_config(optim_wrapper=optim), work_dir=tmp_path)


@pytest.mark.parametrize("hook", ["EMAHook", "TrainedEMAHook"])
def test_the_generator_alone_is_averaged(tmp_path, hook):
    hooks = [{"type": hook, "momentum": 0.5}]
    plain = train(adversarial_config(**SHORT, custom_hooks=[]), work_dir=tmp_path / "plain").model.state_dict()
    train(adversarial_config(**SHORT, custom_hooks=hooks), work_dir=tmp_path / "averaged")
    saved = torch.load(tmp_path / "averaged" / "iter_4.pth", weights_only=True)
    names = {name for name in saved["ema_state_dict"] if name != "steps"}
    assert names == {f"module.{name}" for name in plain if name.startswith("backbone.")}
    for name, value in plain.items():
        assert torch.equal(saved["state_dict"][name], value) == (not name.startswith("backbone.")), name
        assert torch.equal(saved["ema_state_dict"].get(f"module.{name}", value), value)


def test_frozen_parts_rest(tmp_path):
    hooks = [
        {"type": "FreezeHook", "names": "discriminator", "iters": 2},
        {"type": "FreezeHook", "names": "backbone.flow", "iters": 4},
        {"type": "LossSpikeHook"},
    ]
    config = adversarial_config(
        **{"train_cfg.max_iters": 3, "default_hooks.checkpoint.interval": 1}, custom_hooks=hooks
    )
    config["default_hooks"]["checkpoint"]["max_keep_ckpts"] = 9
    train(config, work_dir=tmp_path)
    one, two, three = (state_of(tmp_path / f"iter_{i}.pth") for i in (1, 2, 3))
    moved = {
        (early, name.rpartition(".")[0])
        for early, (a, b) in {"early": (one, two), "late": (two, three)}.items()
        for name in a
        if name.endswith("weight") and not torch.equal(a[name], b[name])
    }
    assert moved == {
        ("early", "backbone.body"),
        ("late", "backbone.body"),
        ("late", "discriminator.conv0"),
        ("late", "discriminator.conv9"),
    }


def test_the_discriminator_may_begin_alone(tmp_path):
    changes = {"default_hooks.checkpoint.interval": 1, "model.disc_steps": 2, "model.disc_init_steps": 2}
    config = adversarial_config(**SHORT, **changes, custom_hooks=[])
    config["default_hooks"]["checkpoint"]["max_keep_ckpts"] = 9
    train(config, work_dir=tmp_path)
    states = [state_of(tmp_path / f"iter_{i}.pth") for i in (1, 2, 3, 4)]
    name, judge = "backbone.body.weight", "discriminator.conv9.weight"
    pairs = list(itertools.pairwise(states))
    assert [torch.equal(a[name], b[name]) for a, b in pairs] == [True, True, False]
    assert [torch.equal(a[judge], b[judge]) for a, b in pairs] == [False] * 3
    rows = [row for row in read_log(tmp_path) if row["mode"] == "train"]
    assert all(
        set(row) - {"grad_norm", "grad_norm_discriminator"} == set(rows[0]) - {"grad_norm_discriminator"}
        for row in rows
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adversarial")
    train(adversarial_config(**SHORT), work_dir=folder)
    return folder


def test_what_is_exported_is_the_generator(trained):
    weights = load_file(trained / "weights.safetensors")
    assert {name.partition(".")[0] for name in weights} == {"flow", "body"}
    frames = torch.rand(2, 3, 8, 8)
    of_export = load_restorer(trained / "weights.safetensors", device="cpu")
    of_checkpoint = load_restorer(trained / "iter_4.pth", device="cpu")
    of_config = load_restorer(adversarial_config()["model"], trained / "iter_4.pth", device="cpu")
    expected = of_export.restore(frames)
    for restorer in (of_export, of_checkpoint, of_config):
        assert restorer.discriminator is None
        assert not any("discriminator" in name for name in restorer.state_dict())
        assert torch.equal(restorer.restore(frames), expected)


def test_a_checkpoint_is_a_network_of_its_own(trained, monkeypatch):
    tiny = Architecture(
        name="Tiny",
        backbone="TinyCleaningNet",
        detect=lambda names: {"flow.weight", "body.weight"} == {n for n in names if n.endswith("weight")},
        infer=lambda weights: {"channels": weights["flow.weight"].shape[0]},
    )
    monkeypatch.setitem(ARCHITECTURES, "Tiny", tiny)
    for file in ("iter_4.pth", "weights.safetensors"):
        network = load_network(trained / file)
        assert torch.equal(network.body.weight, load_file(trained / "weights.safetensors")["body.weight"])


def test_a_first_stage_is_where_it_starts(tmp_path):
    train(tiny_config(**SHORT, **{"model.backbone": {"type": "TinyCleaningNet"}}), work_dir=tmp_path / "first")
    first = load_file(tmp_path / "first" / "weights.safetensors")
    optim = {name: {"optimizer": {"type": "SGD", "lr": 0.0}} for name in ("generator", "discriminator")}
    for number, file in enumerate(("iter_4.pth", "weights.safetensors")):
        config = adversarial_config(**SHORT, optim_wrapper=optim, load_from=str(tmp_path / "first" / file))
        train(config, work_dir=tmp_path / f"second_{number}")
        second = load_file(tmp_path / f"second_{number}" / "weights.safetensors")
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_checkpoint_goes_back_to_a_regression(trained, tmp_path):
    config = tiny_config(
        **SHORT, **{"model.backbone": {"type": "TinyCleaningNet"}}, load_from=str(trained / "iter_4.pth")
    )
    config["optim_wrapper"] = {"optimizer": {"type": "SGD", "lr": 0.0}}
    train(config, work_dir=tmp_path)
    one, two = (load_file(folder / "weights.safetensors") for folder in (trained, tmp_path))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_precision_of_the_command_line_holds_for_all(tmp_path):
    runner = train(adversarial_config(**{"train_cfg.max_iters": 1}), work_dir=tmp_path, amp="bf16")
    assert [part.precision for part in runner.optim_wrapper.values()] == ["bf16", "bf16"]
    assert json.dumps(runner.cfg.optim_wrapper.to_dict()).count("AutocastOptimWrapper") == 2


def test_a_discriminator_of_another_run_can_be_taken_up(trained, tmp_path):
    optim = {name: {"optimizer": {"type": "SGD", "lr": 0.0}} for name in ("generator", "discriminator")}
    parts = {name: str(trained / "iter_4.pth") for name in ("backbone", "discriminator")}
    hooks = [{"type": "StartFromHook", "parts": parts}]
    train(
        adversarial_config(**SHORT, optim_wrapper=optim, custom_hooks=hooks, randomness={"seed": 9}), work_dir=tmp_path
    )
    one, two = state_of(trained / "iter_4.pth"), state_of(tmp_path / "iter_4.pth")
    same = {name for name in one if torch.equal(one[name], two[name])}
    moving = {name for name in one if name.endswith(("weight_u", "weight_v"))}  # they follow the weights by themselves
    assert same - moving == set(one) - moving


ONE = {"optimizer": ADAM}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optim_wrapper": ONE}, r"AdversarialRestorer trains with several optimisers: optim_wrapper=dict\(generator="),
        ({"optim_wrapper": {"generator": ONE}}, r"several optimisers.*; it has generator"),
        ({"optim_wrapper": {"generator": ONE, "critic": ONE}}, r"several optimisers.*; it has generator, critic"),
        (
            {"optim_wrapper": {"generator": ONE, "discriminator": {**ONE, "accumulative_counts": 2}}},
            r"the same accumulative_counts, got generator: 1, discriminator: 2",
        ),
        ({"optim_wrapper.discriminator.clip": 1}, r"optim_wrapper.discriminator: .* takes no argument 'clip'"),
        ({"optim_wrapper.precision": "half"}, r"precision must be one of"),
        ({"param_scheduler": {"generator": []}}, r"param_scheduler lacks discriminator"),
        ({"param_scheduler": {"critic": []}}, r"param_scheduler.critic names no optimiser; there are generator, disc"),
        ({"model.gan_loss": None}, r"AdversarialRestorer needs gan_loss=dict"),
        ({"model.discriminator": None}, r"AdversarialRestorer needs discriminator=dict"),
        ({"model.disc_steps": 0}, r"disc_steps must be a whole number >= 1, got 0"),
        ({"model.unsharpened_for": ["texture"]}, r"unsharpened_for must be a list of gan, pixel, perceptual, cleaning"),
        ({"model.perceptual_loss": perceptual(untrained=False)}, r"needs the weights of its vgg19: weights=dict\(url="),
        (
            {"train_dataloader.dataset": {"type": "TinySharpenedClips", "crop_px": 12, "frames": 2}},
            r"clips of 12x12 pixels .* do not fit the discriminator .* of 8; nearest: crop_px=\(8, 8\) or \(16, 16\)",
        ),
        ({"strategy": {"type": "FSDPStrategy"}}, r"several optimisers are not served with a strategy"),
        ({"model_wrapper_cfg": {"type": "MMDistributedDataParallel"}}, r"model_wrapper_cfg is not served with several"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(adversarial_config(**changes), work_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_loss_takes_one_optimiser(tmp_path):
    with pytest.raises(ConfigError, match=r"RegressionRestorer trains with one optimiser.*; it has generator"):
        train(tiny_config(optim_wrapper={"generator": ONE}), work_dir=tmp_path / "run")
