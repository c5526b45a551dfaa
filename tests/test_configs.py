"""Every config that ships loads, builds what it names without memory for weights, and keeps to its rules."""

from pathlib import Path

import pytest

from vrestore.checkpoints.index import zoo
from vrestore.checkpoints.weightless import weightless
from vrestore.config import load_config
from vrestore.engine.several_optimisers import optimiser_parts, spelled_out
from vrestore.evaluation.methods import Method
from vrestore.evaluation.plan import build_metrics
from vrestore.registry import DATASETS, HOOKS, MODELS, OPTIM_WRAPPERS, PARAM_SCHEDULERS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.request import Request

ROOT = Path(__file__).resolve().parents[1] / "configs"
CONFIGS = sorted(str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py") if p.parent.name != "_base_")
METHODS = [c for c in CONFIGS if not c.startswith(("benchmarks/", "degradations/"))]  # recipes have tests of their own
BENCHMARKS = [c for c in CONFIGS if c.startswith("benchmarks/")]


@pytest.mark.parametrize("name", METHODS)
def test_the_model_builds(name):
    config = load_config(ROOT / name)
    with weightless():
        restorer = MODELS.build(config.model.to_dict())
    assert isinstance(restorer, BaseRestorer)
    assert sum(p.numel() for p in restorer.parameters()) > 0
    restorer.capabilities.as_dict()


@pytest.mark.parametrize("name", METHODS)
def test_what_trains_is_registered(name):
    config = load_config(ROOT / name)
    assert ("train_dataloader" in config) == ("optim_wrapper" in config) == ("train_cfg" in config)
    for hook in config.get("custom_hooks", []):
        HOOKS.check(hook.to_dict())
    if "train_dataloader" not in config:
        assert (ROOT / name).read_text(encoding="utf-8").startswith("# "), "say why there is no training"
        return
    DATASETS.check(config.train_dataloader.dataset.to_dict())
    assert ("val_dataloader" in config) == ("val_evaluator" in config)
    if "val_dataloader" in config:  # a sharded model is not validated while it trains
        DATASETS.check(config.val_dataloader.dataset.to_dict())
        build_metrics(config.val_evaluator, name)
    else:
        assert "strategy" in config
    for scheduler in config.get("param_scheduler", []):
        assert PARAM_SCHEDULERS.get(scheduler["type"]) is not None
    for part in optimiser_parts(spelled_out(config.optim_wrapper.to_dict())).values():
        assert OPTIM_WRAPPERS.get(part["type"]) is not None


@pytest.mark.parametrize(
    ("name", "iters", "frames", "flow_rate"),
    [
        ("basicvsr/basicvsr_reds4.py", 300_000, 15, 0.125),
        ("basicvsr/basicvsr_vimeo90k_bi.py", 300_000, 7, 0.125),
        ("iconvsr/iconvsr_reds4.py", 300_000, 15, 0.125),
        ("basicvsr_pp/basicvsr_pp_reds4.py", 600_000, 30, 0.25),
        ("basicvsr_pp/basicvsr_pp_vimeo90k_bd.py", 300_000, 7, 0.25),
    ],
)
def test_published_recipes(name, iters, frames, flow_rate):
    config = load_config(ROOT / name)
    data = config.train_dataloader
    assert (config.train_cfg.max_iters, data.dataset.frames, data.batch_size, data.dataset.crop_px) == (
        iters,
        frames,
        8,
        256,
    )
    assert config.optim_wrapper.optimizer.to_dict() == {"type": "Adam", "lr": 2e-4, "betas": (0.9, 0.99)}
    assert config.optim_wrapper.paramwise_cfg.custom_keys["spynet"]["lr_mult"] == flow_rate
    assert config.model.pixel_loss["type"] == "CharbonnierLoss"
    mirrored = [t["type"] for t in data.dataset.get("transforms", [])] == ["MirrorExtend"]
    assert mirrored == ("vimeo" in name)
    hooks = {hook["type"]: hook for hook in config.custom_hooks}
    assert hooks["FreezeHook"]["iters"] == 5000
    assert "backbone.spynet" in hooks["StartFromHook"]["parts"]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_names_what_there_is(name):
    config = load_config(ROOT / name)
    methods = [Method.from_config(entry, name) for entry in config.methods]
    names = [method.name for method in methods]
    assert len(set(names)) == len(names)
    for method in methods:
        if isinstance(method.model, str) and not method.model.endswith(".py"):
            assert method.model in zoo(), method.model
        elif not isinstance(method.model, str):
            MODELS.check(dict(method.model))
    for benchmark in config.benchmarks:
        DATASETS.check(dict(benchmark["dataset"]))
        build_metrics(benchmark["metrics"], name)
        Request(**benchmark.get("request", {}))
        assert set(benchmark.get("methods", names)) <= set(names)


def test_every_config_of_the_zoo_is_there_and_every_method_config_is_in_the_zoo():
    named = {entry.config for entry in zoo().values() if entry.config}
    assert named <= set(METHODS)
    stages = ("", "_longer", "_sharper")
    ours = {f"basicvsr/basicvsr_small_x4{stage}.py" for stage in stages}  # weights that this project makes
    recipes = {  # of methods named otherwise
        "real_basicvsr/realbasicvsr_small_x4_wogan.py",
        "venhancer/venhancer_train_720p.py",
        "venhancer/venhancer_tiny_train.py",
    }
    assert not set(METHODS) - named - ours - recipes, "no entry of the zoo names these configs"
