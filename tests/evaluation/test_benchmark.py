"""The benchmark runner: resumable cells, failures that stop nothing, the same numbers in any order."""

import copy
import json
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import vrestore.evaluation.benchmark as benchmark_module
from tests.evaluation.parts import FailingX4, NoisyX4, TinyBenchmark, moving_clip
from vrestore import Request, load_restorer
from vrestore.errors import ConfigError, DataError, RegistryError
from vrestore.evaluation import PSNR
from vrestore.evaluation.benchmark import hash_input, run_benchmark
from vrestore.evaluation.methods import fingerprint
from vrestore.evaluation.summary import summarise


def a_config(methods, metrics=({"type": "PSNR"}, {"type": "SSIM"}), dataset=None, **output) -> dict:
    return {
        "methods": methods,
        "benchmarks": [
            {
                "name": "tiny",
                "dataset": dataset or {"type": "TinyBenchmark"},
                "request": {"scale": 4},
                "metrics": list(metrics),
            }
        ],
        "output": {"comparison": False, **output},
    }


def scores(result) -> dict:
    """Every value of every frame, by method, clip and metric."""
    return {(c.method, c.clip, s.name): tuple(s.frames or ()) for c in result.cells for s in c.scores}


def watch(monkeypatch) -> list[str]:
    """Names of the methods whose restorers were called, in order."""
    called = []
    original = benchmark_module.LoadedMethod.restore

    def spy(self, lq_TCHW, request):
        called.append(self.method.name)
        return original(self, lq_TCHW, request)

    monkeypatch.setattr(benchmark_module.LoadedMethod, "restore", spy)
    return called


def test_every_method_meets_every_clip(tmp_path):
    result = run_benchmark(a_config(["bicubic", "nearest"]), work_dir=tmp_path)
    assert not result.failures
    assert [(c.method, c.clip) for c in result.cells] == [
        ("bicubic", "clip0"),
        ("bicubic", "clip1"),
        ("nearest", "clip0"),
        ("nearest", "clip1"),
    ]
    sample = TinyBenchmark()[1]
    pred = load_restorer("nearest", device="cpu").restore(sample["lq"], Request(scale=4))
    assert scores(result)["nearest", "clip1", "PSNR-Y"] == tuple(PSNR().score(pred, sample["hq"]))
    cell = result.cells[0]
    assert cell.size == (64, 80)
    assert cell.frames == 3
    assert cell.cost["seconds"] > 0
    assert cell.record == {"name": "BicubicDown", "scale": 4}
    assert cell.alignment["warning"] is None
    assert cell.input_hash == hash_input(TinyBenchmark()[0]["lq"], TinyBenchmark()[0]["hq"])


def test_a_benchmark_names_the_methods_that_run_on_it(tmp_path):
    config = a_config(["bicubic", "nearest"])
    config["benchmarks"].append({**config["benchmarks"][0], "name": "one", "methods": ["nearest"]})
    result = run_benchmark(config, work_dir=tmp_path)
    assert [(c.method, c.benchmark) for c in result.cells[::2]] == [
        ("bicubic", "tiny"),
        ("nearest", "tiny"),
        ("nearest", "one"),
    ]
    assert [[row.method for row in table.rows] for table in summarise(result)] == [["bicubic", "nearest"], ["nearest"]]
    only = run_benchmark(config, work_dir=tmp_path, methods=["bicubic"])
    assert [[row.method for row in table.rows] for table in summarise(only)] == [["bicubic"], []]
    config["benchmarks"][1]["methods"] = ["neerest"]
    with pytest.raises(ConfigError, match=r"benchmarks\[1\]\.methods has no key 'neerest'; did you mean 'nearest'"):
        run_benchmark(config, work_dir=tmp_path)


def test_numbers_depend_on_neither_order_nor_resumption(tmp_path):
    methods = ["bicubic", {"name": "noisy", "model": NoisyX4()}, {"name": "noisier", "model": NoisyX4(sigma=0.05)}]
    forward = scores(run_benchmark(a_config(methods), work_dir=tmp_path / "a"))
    torch.manual_seed(1234)
    backward = scores(run_benchmark(a_config(methods[::-1]), work_dir=tmp_path / "b"))
    run_benchmark(a_config(methods[1:2]), work_dir=tmp_path / "c")
    resumed = scores(run_benchmark(a_config(methods), work_dir=tmp_path / "c"))
    assert forward == backward == resumed
    assert forward["noisy", "clip0", "PSNR-Y"] != forward["noisier", "clip0", "PSNR-Y"]


def test_the_global_generator_is_left_as_it_was(tmp_path):
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    run_benchmark(a_config([{"name": "noisy", "model": NoisyX4()}]), work_dir=tmp_path)
    assert torch.equal(torch.rand(3), wanted)


def test_a_second_run_continues(tmp_path, monkeypatch):
    called = watch(monkeypatch)
    config = a_config(["bicubic", "nearest"])
    first = run_benchmark(config, work_dir=tmp_path, methods=["bicubic"])
    assert called == ["bicubic"] * 2
    called.clear()
    second = run_benchmark(config, work_dir=tmp_path)
    assert called == ["nearest"] * 2
    assert [cell.resumed for cell in second.cells] == [True, True, False, False]
    assert second.cells[0].cost == first.cells[0].cost
    called.clear()
    next(iter((tmp_path / "cells").rglob("nearest/clip1*.json"))).write_text("{")
    run_benchmark(config, work_dir=tmp_path)
    assert called == ["nearest"]
    called.clear()
    run_benchmark({**config, "output": {"comparison": False, "resume": False}}, work_dir=tmp_path)
    assert len(called) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": [{"type": "PSNR", "crop_border": 4}]},
        {"request": {"scale": 4, "seed": 1}},
        {"dataset": {"type": "TinyBenchmark", "seed": 50}},
        {"dataset": {"type": "TinyBenchmark", "frames": 2}},
    ],
)
def test_what_changed_runs_again(tmp_path, monkeypatch, change):
    config = a_config(["bicubic"], metrics=[{"type": "PSNR"}])
    run_benchmark(config, work_dir=tmp_path)
    called = watch(monkeypatch)
    changed = copy.deepcopy(config)
    changed["benchmarks"][0] |= change
    run_benchmark(changed, work_dir=tmp_path)
    assert called == ["bicubic"] * 2
    called.clear()
    run_benchmark(config, work_dir=tmp_path)  # the first cells are still there
    assert called == []


def test_changed_weights_run_again_under_the_same_name(tmp_path, monkeypatch):
    called = watch(monkeypatch)
    for gain in (1.0, 0.9, 1.0):
        run_benchmark(a_config([{"name": "noisy", "model": NoisyX4(gain=gain)}]), work_dir=tmp_path)
    assert len(called) == 4
    assert fingerprint(NoisyX4(gain=1.0)) == fingerprint(NoisyX4(gain=1.0)) != fingerprint(NoisyX4(gain=0.9))


def test_a_failed_method_stops_no_other(tmp_path):
    config = a_config([{"name": "broken", "model": FailingX4()}, "bicubbic", "bicubic"])
    result = run_benchmark(config, work_dir=tmp_path)
    assert {cell.method for cell in result.cells} == {"bicubic"}
    failures = {(f.method, f.clip): f.error for f in result.failures}
    assert failures["broken", "clip0"] == failures["broken", "clip1"] == "RuntimeError: out of luck"
    assert "closest: bicubic" in failures["bicubbic", None]
    assert "with details" in (tmp_path / "failures" / "tiny-broken-clip0.txt").read_text()
    assert not list((tmp_path / "cells").rglob("broken/*.json"))


def test_a_method_that_fails_on_one_clip_keeps_the_others(tmp_path):
    brightness = sorted(TinyBenchmark(clips=3)[i]["lq"].mean().item() for i in range(3))
    picky = FailingX4(above=(brightness[1] + brightness[2]) / 2)
    config = a_config([{"name": "picky", "model": picky}, "bicubic"], dataset={"type": "TinyBenchmark", "clips": 3})
    result = run_benchmark(config, work_dir=tmp_path)
    assert [cell.method for cell in result.cells] == ["picky"] * 2 + ["bicubic"] * 3
    assert len(result.failures) == 1
    (table,) = summarise(result)
    picked, bicubic = (row.values[0] for row in table.rows)
    assert (picked.measured, picked.clips, picked.complete) == (2, 3, False)
    assert not picked.best
    assert not bicubic.best  # alone among the complete ones


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "the output holds values that are not numbers"),
        ("short", r"the output has 2 frame\(s\), its ground truth 3"),
    ],
)
def test_output_that_cannot_be_compared_is_a_failure(tmp_path, how, message):
    result = run_benchmark(a_config([{"name": "odd", "model": FailingX4(how)}]), work_dir=tmp_path)
    assert not result.cells
    assert len(result.failures) == 2
    assert re.search(message, result.failures[0].error)


def test_a_shifted_output_is_scored_and_flagged(tmp_path):
    dataset = {"type": "TinyBenchmark", "size": (96, 112)}
    result = run_benchmark(a_config([{"name": "odd", "model": FailingX4("shift")}], dataset=dataset), work_dir=tmp_path)
    assert result.cells[0].alignment["right_px"] == pytest.approx(2, abs=0.1)
    assert "not comparable" in result.cells[0].alignment["warning"]


def test_an_interruption_keeps_what_is_finished(tmp_path, monkeypatch):
    config = a_config(["bicubic", {"name": "interrupted", "model": FailingX4("interrupt")}, "nearest"])
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(config, work_dir=tmp_path)
    called = watch(monkeypatch)
    result = run_benchmark(a_config(["bicubic", "nearest"]), work_dir=tmp_path)
    assert called == ["nearest"] * 2
    assert len(result.cells) == 4


def test_without_ground_truth_only_some_scores_are_measured(tmp_path):
    dataset = {"type": "TinyBenchmark", "with_hq": False, "size": (96, 192)}
    config = a_config(["bicubic"], metrics=[{"type": "PSNR"}, {"type": "NIQE"}], dataset=dataset)
    result = run_benchmark(config, work_dir=tmp_path)
    psnr, niqe = result.cells[0].scores
    assert psnr.frames is None
    assert "this clip has none" in psnr.reason
    assert all(math.isfinite(v) for v in niqe.frames)
    assert result.cells[0].alignment is None


def test_random_weights_are_never_scored(tmp_path):
    result = run_benchmark(a_config([{"name": "random", "model": {"type": "NoisyX4"}}]), work_dir=tmp_path)
    assert "random weights" in result.failures[0].error


def test_weights_from_a_file_are_scored(tmp_path):
    save_file(NoisyX4(gain=0.9).state_dict(), tmp_path / "w.safetensors")
    method = {"name": "mine", "model": {"type": "NoisyX4"}, "weights": str(tmp_path / "w.safetensors")}
    result = run_benchmark(a_config([method]), work_dir=tmp_path)
    assert not result.failures
    assert result.cells[0].weights == fingerprint(NoisyX4(gain=0.9))
    assert result.cells[0].parameters == 1


def test_saved_frames_are_the_rounded_output(tmp_path, monkeypatch):
    config = a_config(["bicubic"], save_frames=True)
    run_benchmark(config, work_dir=tmp_path)
    folder = tmp_path / "frames" / "tiny" / "clip0" / "bicubic"
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == ["00000000.png", "00000001.png", "00000002.png"]
    saved = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files])).permute(0, 3, 1, 2) / 255
    result = run_benchmark(config, work_dir=tmp_path)
    assert PSNR().score(saved, TinyBenchmark()[0]["hq"]) == list(scores(result)["bicubic", "clip0", "PSNR-Y"])
    called = watch(monkeypatch)
    files[-1].unlink()
    run_benchmark(config, work_dir=tmp_path)
    assert called == ["bicubic"]  # the cell whose frames are gone, and no other


def test_two_clips_of_one_name_are_refused(tmp_path):
    class Doubled(TinyBenchmark):
        def __getitem__(self, index):
            return {**super().__getitem__(index), "clip": "same"}

    result = run_benchmark(a_config(["bicubic"], dataset=Doubled()), work_dir=tmp_path)
    assert len(result.cells) == 1
    assert "two clips of tiny are called 'same'" in result.failures[0].error


def test_the_input_hash_is_deaf_to_rounding_noise_and_hears_a_level():
    lq, hq = moving_clip(0), moving_clip(1)
    assert hash_input(lq, hq) == hash_input(lq + 1e-7, hq)
    assert len({hash_input(lq, hq), hash_input(lq + 1 / 255, hq), hash_input(hq, lq), hash_input(lq, None)}) == 4


def test_cells_are_valid_json_with_everything(tmp_path):
    result = run_benchmark(a_config(["bicubic"]), work_dir=tmp_path)
    data = json.loads(next(iter((tmp_path / "cells").rglob("*.json"))).read_text())
    assert data["key"] == result.cells[0].key
    assert data["scores"][0]["protocol"]["colour"] == "Y of BT.601"
    assert data["scores"][0]["frames"] == list(result.cells[0].scores[0].frames)


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        ({"methods": []}, ConfigError, "needs methods="),
        ({"methods": [{"name": "x"}]}, ConfigError, "methods.0. needs model="),
        ({"methods": [{"model": "bicubic", "wieghts": 1}]}, ConfigError, "did you mean 'weights'"),
        ({"methods": ["bicubic", "bicubic"]}, ConfigError, "'bicubic' is there more than once"),
        ({"methods": [{"model": "bicubic", "request": {"skale": 4}}]}, ConfigError, "did you mean 'scale'"),
        ({"benchmarks": None}, ConfigError, "needs benchmarks="),
        ({"output": {"save_frame": True}}, ConfigError, "did you mean 'save_frames'"),
        ({"benchmark": []}, ConfigError, "did you mean 'benchmarks'"),
    ],
)
def test_a_wrong_config_is_refused_before_anything_runs(tmp_path, monkeypatch, broken, error, message):
    called = watch(monkeypatch)
    with pytest.raises(error, match=message):
        run_benchmark({**a_config(["bicubic"]), **broken}, work_dir=tmp_path)
    assert called == []


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"metrics": []}, ConfigError, "needs metrics"),
        ({"metrics": [{"type": "PNSR"}]}, RegistryError, "closest: PSNR"),
        ({"metrics": [{"type": "PSNR"}, {"type": "PSNR"}]}, ConfigError, "'PSNR-Y' is there more than once"),
        ({"metrics": [{"type": "DumpResults", "out_file_path": "x.pkl"}]}, ConfigError, "is no vrestore Metric"),
        ({"dataset": {"type": "TinyBenchmark", "clips": 0}}, ConfigError, "holds no clip"),
        ({"dataset": {"type": "VrestoreBench", "root": "nowhere"}}, DataError, "nowhere"),
        ({"dataset": 3}, ConfigError, "must be a dataset's config"),
        ({"request": {"scale": -4}}, ValueError, "scale must be"),
    ],
)
def test_a_wrong_benchmark_is_refused(tmp_path, change, error, message):
    config = a_config(["bicubic"])
    config["benchmarks"][0] |= change
    with pytest.raises(error, match=message):
        run_benchmark(config, work_dir=tmp_path)


def test_an_unknown_method_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no method is called 'lanczos'; the config has bicubic"):
        run_benchmark(a_config(["bicubic"]), work_dir=tmp_path, methods=["lanczos"])
