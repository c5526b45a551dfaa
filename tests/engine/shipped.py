"""Shipped training configs at a size that trains in a moment: their parts, data and schedules, with few weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from safetensors.torch import save_file

import tests.engine.venhancer  # noqa: F401  (registers ShakenVEnhancer)
from tests.contract import tiny
from tests.data.media import moving_texture, write_folder
from vrestore.config import load_config
from vrestore.registry import HOOKS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# The sizes of every network and loss, by its type; whatever else a config says of them stays.
SIZES = {**tiny.BACKBONES, **tiny.LOSSES, **tiny.AUXILIARY_LOSSES}
CROPS = {"ShakenVEnhancer": (12, 8)}  # else this:
CROP = 64
FRAMES = 5  # at most
# What of a network goes with its data, and so stays as the config has it.
OF_THE_DATA = ("upscale_factor", "upscale", "upsampler", "scale", "num_frames", "hr_in", "is_low_res_input")
KEPT_OF_VENHANCER = ("training", "lora", "guidance_scale")


def training_configs() -> list[str]:
    """Every config under configs/ that says how to train, by its path there."""
    files = sorted(path for path in CONFIGS.rglob("*.py") if path.parent.name != "_base_")
    return [str(path.relative_to(CONFIGS)) for path in files if "train_cfg" in load_config(path)]


def recipes() -> list[str]:
    return sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / "degradations").glob("*.py"))


def make_clips(folder: Path) -> Path:
    for name, seed in (("a", 1), ("b", 2)):
        write_folder(folder / name, moving_texture(9, 72, 80, seed))
    return folder


def at_tiny_size(name: str, clips: Path, folder: Path, iters: int = 2) -> dict[str, Any]:
    """A shipped config that trains for `iters` steps on the given clips, without validation.

    Args:
        name: path under configs/.
        clips: folder of clips.
        folder: where weights lie that parts of the model begin with.
        iters: steps; the first one moves only what lies behind ways that begin at zero.
    """
    cfg: dict[str, Any] = copy.deepcopy(load_config(CONFIGS / name).to_dict())
    cfg["model"] = small_model(cfg["model"])
    loader = cfg["train_dataloader"]
    loader.update(batch_size=2, num_workers=0)
    for key in ("persistent_workers", "prefetch_factor", "timeout", "pin_memory"):
        loader.pop(key, None)
    crop = CROPS.get(cfg["model"]["type"], CROP)
    loader["dataset"].update(roots=str(clips), crop_px=crop, exclude=[], include=[], progress=False)
    loader["dataset"]["frames"] = min(FRAMES, loader["dataset"].get("frames", FRAMES))
    if "shrink" in loader["dataset"]:
        loader["dataset"]["shrink"] = (1.0, loader["dataset"]["shrink"][1])  # the clips are little larger than a crop
    for key in ("names", "index", "cache", "weights"):
        loader["dataset"].pop(key, None)
    for key in ("val_dataloader", "val_evaluator", "val_cfg", "strategy", "load_from", "visualizer"):
        cfg.pop(key, None)
    for part in (cfg["optim_wrapper"], *cfg["optim_wrapper"].values()):
        if isinstance(part, dict):
            part.pop("accumulative_counts", None)
    cfg["train_cfg"] = {**cfg["train_cfg"], "max_iters": iters}
    cfg["default_hooks"] = {**cfg.get("default_hooks", {}), "logger": {"type": "LogHook", "interval": 1}}
    for hook in cfg.get("custom_hooks", []):
        if hook["type"] == "StartFromHook":
            hook["parts"] = {part: start_of(part, cfg["model"], folder) for part in hook["parts"]}
    return cfg


def small_model(model: dict[str, Any]) -> dict[str, Any]:
    if model["type"] == "VEnhancer":
        small = copy.deepcopy(tiny.RESTORERS["VEnhancer"])
        own = {key: value for key, value in model["backbone"].items() if key in ("gradient_checkpointing", "dropout")}
        small["backbone"].update(own)
        # A fresh UNet ends in zeros and hands no gradient on; the shipped trainings begin with trained ones, or go on.
        return {**small, "type": "ShakenVEnhancer", **{key: model[key] for key in KEPT_OF_VENHANCER if key in model}}
    small = copy.deepcopy(model)
    for part in [small, *_parts(small)]:
        if part["type"] in SIZES:
            sizes = {key: value for key, value in SIZES[part["type"]].items() if key not in OF_THE_DATA}
            part.update(copy.deepcopy(sizes))
    return small


def start_of(part: str, model: dict[str, Any], folder: Path) -> str:
    """A file of weights for a part of the model, in place of the one that a release publishes."""
    torch.manual_seed(5)
    state = MODELS.build(copy.deepcopy(model)).get_submodule(part).state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{part}.safetensors"
    save_file({name: (value * 0.9).contiguous() for name, value in state.items()}, file)
    return str(file)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every dict with a type within nested configs."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        if isinstance(item, dict) and "type" in item:
            yield item
        yield from _parts(item)


@HOOKS.register_module()
class WatchWeights(Hook):
    """Notes, by parameter, whether it was to train and whether it changed; told in `results`, by the work dir."""

    priority = "LOWEST"
    results: dict[str, dict[str, tuple[bool, bool]]] = {}

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if batch_idx == 0:
            self.before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}

    def after_train(self, runner) -> None:
        frozen = {id(parameter) for parameter in runner.optim_wrapper.frozen}
        self.results[str(runner.work_dir)] = {
            name: (p.requires_grad and id(p) not in frozen, not torch.equal(p, self.before[name]))
            for name, p in runner.model.named_parameters()
        }
