"""What a run leaves behind, and how it ends when something goes wrong."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from safetensors import safe_open

from tests.engine.parts import PowerCut, assert_same_run, read_log, tiny_config, with_hook
from tests.paths import ROOT
from vrestore.engine.train import prepare_config, train
from vrestore.errors import ConfigError, RegistryError, TrainingError, WeightsError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The work dir and the Runner of one finished run with TensorBoard."""
    work_dir = tmp_path_factory.mktemp("run")
    visualizer = {"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]}
    return work_dir, train(tiny_config(visualizer=visualizer), work_dir=work_dir)


def test_run_leaves_checkpoints_log_samples_and_weights(finished):
    work_dir, _ = finished
    assert sorted(p.name for p in work_dir.glob("*.pth")) == ["best_TinyError_iter_12.pth", "iter_12.pth", "iter_8.pth"]
    assert (work_dir / "last_checkpoint").read_text() == "iter_12.pth\n"
    assert sorted(p.name for p in (work_dir / "samples").iterdir()) == ["iter_000004", "iter_000008", "iter_000012"]
    assert list(work_dir.glob("*/vis_data/events.out.tfevents.*"))
    assert not list(work_dir.rglob("*.tmp"))
    Config.fromfile(work_dir / "config.py")  # the dumped config can be read again


def test_log_holds_losses_rates_and_scores(finished):
    rows = read_log(finished[0])
    losses = [row["loss"] for row in rows if row["mode"] == "train"]
    rates = [row["lr"] for row in rows if row["mode"] == "train"]
    scores = [row["TinyError"] for row in rows if row["mode"] == "val"]
    assert len(losses) == 12
    assert losses[-1] < 0.6 * losses[0]
    assert scores == sorted(scores, reverse=True)
    assert rates[:5] == pytest.approx([1e-3, 4e-3, 7e-3, 1e-2, 1e-2])  # linear warm-up over 4
    cosine = [1e-5 + (1e-2 - 1e-5) / 2 * (1 + np.cos(np.pi * i / 8)) for i in range(8)]
    assert rates[4:] == pytest.approx(cosine, rel=1e-6)
    assert all(row["grad_norm"] > 0 for row in rows if row["mode"] == "train")


def test_tensorboard_shows_the_curves(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(next(finished[0].glob("*/vis_data"))))
    events.Reload()
    curve = [(event.step, event.value) for event in events.Scalars("train/loss")]
    logged = [(row["iter"], row["loss"]) for row in read_log(finished[0]) if row["mode"] == "train"]
    assert curve == [(step, pytest.approx(loss, rel=1e-6)) for step, loss in logged]
    assert [event.step for event in events.Scalars("val/TinyError")] == [4, 8, 12]


def test_exported_weights_are_the_averaged_ones(finished):
    work_dir, runner = finished
    checkpoint = torch.load(work_dir / "iter_12.pth", weights_only=True)
    raw = checkpoint["ema_state_dict"]  # MMEngine swaps the two when it saves
    with safe_open(work_dir / "weights.safetensors", "pt") as file:
        names, metadata = sorted(file.keys()), file.metadata()
        body = file.get_tensor("body.weight")
    assert names == ["body.bias", "body.weight", "flow.bias", "flow.weight"]
    assert torch.equal(body, checkpoint["state_dict"]["backbone.body.weight"])
    assert torch.equal(runner.model.backbone.body.weight, raw["module.backbone.body.weight"])
    assert not torch.equal(body, runner.model.backbone.body.weight)
    assert metadata["iterations"] == "12"
    assert json.loads(metadata["architecture"]) == {"type": "TinyNet"}


def test_validation_scores_the_averaged_weights(finished):
    work_dir, runner = finished
    averaged = torch.load(work_dir / "iter_12.pth", weights_only=True)["state_dict"]
    raw = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.model.load_state_dict(averaged)
    runner.model.eval()
    errors = []
    for batch in runner.val_loop.dataloader:
        errors += [float((s["pred"] - s["hq"]).square().mean()) for s in runner.model.val_step(batch)]
    runner.model.load_state_dict(raw)
    assert read_log(work_dir)[-1]["TinyError"] == pytest.approx(np.mean(errors), rel=1e-6)


def test_sample_images_show_input_prediction_and_truth(finished):
    image = np.asarray(Image.open(finished[0] / "samples" / "iter_000012" / "clip_0.png"))
    assert image.shape == (8, 3 * 8, 3)
    truth = finished[1].val_loop.dataloader.dataset[0]["hq"][1]
    assert np.array_equal(image[:, 16:], (truth.permute(1, 2, 0) * 255).round().byte().numpy())


def test_frozen_parameters_stay_and_then_learn(tmp_path):
    changes = {"train_cfg.max_iters": 4, "default_hooks.checkpoint": {"interval": 1, "max_keep_ckpts": 9}}
    config = tiny_config(**changes)
    config["custom_hooks"] = [{"type": "FreezeHook", "names": ["backbone.flow"], "iters": 2}]
    train(config, work_dir=tmp_path)
    states = [torch.load(tmp_path / f"iter_{i}.pth", weights_only=True)["state_dict"] for i in (1, 2, 3, 4)]
    flow, body = ([s[f"backbone.{name}.weight"] for s in states] for name in ("flow", "body"))
    assert torch.equal(flow[0], flow[1])
    assert not torch.equal(flow[1], flow[2])
    assert not torch.equal(body[0], body[1])


def test_bf16_autocast_reaches_the_network(tmp_path):
    losses = {}
    for amp in (None, "bf16"):
        changes = {"model.backbone.dropout": 0.0, "train_cfg.max_iters": 3}
        train(tiny_config(**changes), work_dir=tmp_path / str(amp), amp=amp)
        losses[amp] = [row["loss"] for row in read_log(tmp_path / str(amp)) if row["mode"] == "train"]
    assert losses["bf16"] != losses[None]
    assert losses["bf16"] == pytest.approx(losses[None], rel=2e-2)


def test_accumulated_gradient_is_that_of_the_larger_batch(tmp_path):
    shared = {"model.backbone.dropout": 0.0, "train_cfg.max_iters": 4, "param_scheduler": []}
    train(tiny_config(**shared, **{"train_dataloader.batch_size": 4}), work_dir=tmp_path / "large")
    parts = {"optim_wrapper.accumulative_counts": 2, "train_cfg.max_iters": 8, "train_cfg.val_interval": 8}
    slow_freeze = tiny_config(**{**shared, **parts})
    slow_freeze["custom_hooks"][1]["iters"] = 6
    train(slow_freeze, work_dir=tmp_path / "small")
    large, small = (torch.load(tmp_path / name, weights_only=True) for name in ("large/iter_4.pth", "small/iter_8.pth"))
    for name, tensor in large["state_dict"].items():  # the average too: it counts steps, not iterations
        assert torch.allclose(tensor, small["state_dict"][name], atol=2e-5), name


def test_nan_stops_with_step_and_clips_and_an_intact_checkpoint(tmp_path):
    config = tiny_config(**{"train_dataloader.dataset.bad_draws": [13]})
    with pytest.raises(TrainingError) as stopped:
        train(config, work_dir=tmp_path)
    message = str(stopped.value)
    assert "the loss is NaN or infinite at iteration 7, in the batch of the clips clip_12, clip_13" in message
    assert f"the last checkpoint is {tmp_path / 'iter_4.pth'}" in message
    assert sorted(p.name for p in tmp_path.glob("iter_*.pth")) == ["iter_4.pth"]
    state = torch.load(tmp_path / "iter_4.pth", weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize("workers", [0, 2])
def test_failing_data_worker_ends_with_its_reason(tmp_path, workers):
    changes = {"train_dataloader.dataset.failing_draws": [10], "train_dataloader.num_workers": workers}
    with pytest.raises(TrainingError) as stopped:
        train(tiny_config(**changes), work_dir=tmp_path)
    assert str(stopped.value) == (
        f"the training data failed at iteration 6 (draws from 10): clip_10.mp4 cannot be decoded; "
        f"the last checkpoint is {tmp_path / 'iter_4.pth'}"
    )


def test_killed_data_worker_ends_with_a_sentence(tmp_path):
    # In a process of its own: PyTorch tells of the death by an exception out of a signal handler, which may come so
    # late that it would strike the test runner.
    code = (
        "from tests.engine.parts import *\nfrom vrestore.engine.train import train\n"
        "from vrestore.errors import TrainingError\n"
        "clips = {'type': 'TinyClips', 'deadly_draws': [10]}\n"
        "config = tiny_config(**{'train_dataloader.num_workers': 1, 'train_dataloader.dataset': clips})\n"
        f"try:\n    train(config, work_dir={str(tmp_path)!r})\n"
        "except TrainingError as error:\n    print('told:', error, flush=True)\n    os._exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == 2, done.stderr[-2000:]
    told = r"told: .*data failed at iteration \d \(draws from \d+\): DataLoader worker .*(exited|killed)"
    assert re.search(told, done.stdout), done.stdout[-2000:]


def test_full_disk_leaves_the_last_checkpoint(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    config = with_hook(tiny_config(), type="ShrinkDiskAt", at=6, limit_bytes=4000)
    try:
        with pytest.raises(TrainingError, match=r"could not write .*iter_8\.pth: File too large"):
            train(config, work_dir=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "last_checkpoint").read_text() == "iter_4.pth\n"
    assert not list(tmp_path.rglob(".*.tmp"))
    train(tiny_config(), work_dir=tmp_path, resume=True)
    assert (tmp_path / "last_checkpoint").read_text() == "iter_12.pth\n"


def test_killed_process_leaves_a_checkpoint_that_resumes_exactly(tmp_path):
    code = (
        "from tests.engine.parts import *\nfrom vrestore.engine.train import train\n"
        "config = tiny_config(**{'default_hooks.checkpoint.interval': 1, 'train_dataloader.num_workers': 1})\n"
        f"train(with_hook(config, type='EndAt', at=7, how='SIGKILL'), work_dir={str(tmp_path / 'cut')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    (tmp_path / "cut" / ".iter_8.pth.123.tmp").write_bytes(b"half")  # what a kill in the middle of a write leaves
    config = tiny_config(**{"default_hooks.checkpoint.interval": 1})
    train(config, work_dir=tmp_path / "cut", resume=True)
    train(config, work_dir=tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    assert not list((tmp_path / "cut").glob(".*.tmp"))


def test_interrupted_process_says_so_and_exits_130(tmp_path):
    code = (
        "from tests.engine.parts import *\nfrom vrestore.engine.train import train\n"
        "config = tiny_config(**{'train_cfg.max_iters': 10000, 'train_dataloader.num_workers': 2,"
        " 'default_hooks.checkpoint.interval': 10000, 'train_cfg.val_interval': 10000})\n"
        f"train(config, work_dir={str(tmp_path)!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not (tmp_path / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the data workers get it too
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 130, output[-2000:]
    assert "SIGINT: stopping after this step, with a checkpoint" in output
    last = (tmp_path / "last_checkpoint").read_text().strip()
    assert f"everything is in {tmp_path / last}: continue with --resume" in output
    assert "Traceback" not in output


def test_weights_to_start_from(tmp_path, finished):
    source = finished[0] / "weights.safetensors"
    expected = torch.load(finished[0] / "iter_12.pth", weights_only=True)["state_dict"]
    for i, path in enumerate([source, finished[0] / "iter_12.pth"]):
        changes = {"train_cfg.max_iters": 1, "optim_wrapper.optimizer.lr": 0.0, "load_from": str(path)}
        runner = train(tiny_config(**changes), work_dir=tmp_path / str(i))
        assert torch.equal(runner.model.backbone.body.weight, expected["backbone.body.weight"])
        averaged = torch.load(tmp_path / str(i) / "iter_1.pth", weights_only=True)["state_dict"]
        assert torch.equal(averaged["backbone.body.weight"], expected["backbone.body.weight"])
    other = tiny_config(**{"model.backbone.channels": 5, "load_from": str(source)})
    with pytest.raises(WeightsError, match="another model"):
        train(other, work_dir=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_earlier_run_in_the_same_folder_is_kept_aside(tmp_path):
    config = tiny_config(**{"train_cfg.max_iters": 2})
    first = train(config, work_dir=tmp_path).model.state_dict()
    config = tiny_config(**{"train_cfg.max_iters": 1, "load_from": str(tmp_path / "iter_2.pth")})
    train(config, work_dir=tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*.pth")) == ["best_TinyError_iter_1.pth", "iter_1.pth"]
    assert [row["iter"] for row in read_log(tmp_path) if row["mode"] == "train"] == [1]
    (aside,) = tmp_path.glob("earlier_*")
    kept = ["best_TinyError_iter_2.pth", "iter_2.pth", "last_checkpoint", "log.jsonl", "samples", "weights.safetensors"]
    assert sorted(path.name for path in aside.iterdir()) == kept
    raw = torch.load(aside / "iter_2.pth", weights_only=True)["ema_state_dict"]
    assert torch.equal(first["backbone.body.weight"], raw["module.backbone.body.weight"])


def test_without_tensorboard_the_run_goes_on(tmp_path, monkeypatch, capfd):
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "tensorboard" else find_spec(n, *a))
    visualizer = {"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]}
    train(tiny_config(visualizer=visualizer, **{"train_cfg.max_iters": 1}), work_dir=tmp_path)
    assert "pip install 'vrestore[report]'" in capfd.readouterr().out
    assert read_log(tmp_path)


def test_fp16_on_cpu_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="fp16 training needs a CUDA device"):
        train(tiny_config(), work_dir=tmp_path / "run", amp="fp16")
    assert not (tmp_path / "run").exists()


def test_wrong_parts_are_refused_before_anything_is_written(tmp_path):
    for changes, error, message in [
        ({"modle": {}}, ConfigError, "did you mean 'model'"),
        ({"model.type": "RegresionRestorer"}, RegistryError, "closest: RegressionRestorer"),
        ({"train_dataloader.dataset.leng": 3}, ConfigError, "did you mean 'length'"),
        ({"custom_hooks": [{"type": "EMAHok"}]}, RegistryError, "closest: EMAHook"),
    ]:
        with pytest.raises(error, match=message):
            train(tiny_config(**changes), work_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_config_is_not_changed_and_keeps_its_name(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in tiny_config(**{"train_cfg.max_iters": 1}).items()))
    config = Config.fromfile(path)
    before = config.to_dict()
    assert prepare_config(config).work_dir == "work_dirs/my_net"
    train(config, work_dir=tmp_path / "run")
    assert config.to_dict() == before
    assert (tmp_path / "run" / "my_net.py").is_file()
    with safe_open(tmp_path / "run" / "weights.safetensors", "pt") as file:
        assert file.metadata()["config"] == "my_net"


def test_training_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(tiny_config(**{"optim_wrapper.accumulative_counts": 2, "train_cfg.max_iters": 4}), work_dir=tmp_path)


def test_cut_before_the_first_checkpoint_says_so(tmp_path):
    with pytest.raises(PowerCut):
        train(with_hook(tiny_config(), type="EndAt", at=2), work_dir=tmp_path)
    with pytest.raises(TrainingError, match=r"no checkpoint was written to .* yet"):
        train(tiny_config(**{"train_dataloader.dataset.bad_draws": [1]}), work_dir=tmp_path, resume=True)
    assert not (tmp_path / "log.jsonl").exists()  # the lines of the cut run are gone
