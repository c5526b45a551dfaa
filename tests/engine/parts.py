"""Tiny parts that train in milliseconds: clips made of numbers, a network with dropout, a score."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from PIL import Image
from torch import Tensor, nn

from vrestore.errors import MediaError
from vrestore.registry import BACKBONES, DATASETS, HOOKS, METRICS


@DATASETS.register_module()
class TinyClips:
    """Sample = pure function of (seed, draw): smooth random clips and their halves.

    Args:
        bad_draws: draws whose clip holds NaN.
        failing_draws: draws that raise, as an unreadable file does.
        deadly_draws: draws that kill their process, as too little memory does.
    """

    def __init__(self, length=6, frames=2, size=8, seed=0, bad_draws=(), failing_draws=(), deadly_draws=()):
        self.length, self.frames, self.size, self.seed = length, frames, size, seed
        self.bad_draws, self.failing_draws, self.deadly_draws = bad_draws, failing_draws, deadly_draws
        self.name, self.degradation_name = "Tiny", "BIx2"

    def __len__(self):
        return self.length

    def __getitem__(self, draw):
        if draw in self.deadly_draws:
            os.kill(os.getpid(), signal.SIGKILL)
        if draw in self.failing_draws:
            raise MediaError(f"clip_{draw}.mp4 cannot be decoded")
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, draw]))
        coarse = torch.from_numpy(rng.random((self.frames, 3, 4, 4), dtype=np.float32))
        hq = F.interpolate(coarse, size=(self.size, self.size), mode="bilinear")
        if draw in self.bad_draws:
            hq[0, 0, 0, 0] = float("nan")
        return {"lq": F.avg_pool2d(hq, 2), "hq": hq, "record": {"draw": draw}, "clip": f"clip_{draw}", "fps": None}


@BACKBONES.register_module()
class TinyNet(nn.Module):
    """Two convolutions with dropout between, x2; `flow` stands for a part that is frozen at first."""

    scale = 2
    context_frames = 0

    def __init__(self, channels=4, dropout=0.2):
        super().__init__()
        self.flow = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Conv2d(channels, 12, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, lq_BTCHW: Tensor) -> Tensor:
        b, t = lq_BTCHW.shape[:2]
        x = lq_BTCHW.flatten(0, 1)
        out = self.body(self.dropout(F.relu(self.flow(x))))
        return (F.pixel_shuffle(out, 2) + F.interpolate(x, scale_factor=2)).unflatten(0, (b, t))


@METRICS.register_module()
class TinyError(BaseMetric):
    """Mean squared error of each clip; `count` tells how many clips were scored."""

    name = "TinyError"
    higher_is_better = False
    default_prefix = "none"  # MMEngine warns without one

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.prefix = None

    def process(self, data_batch, data_samples):
        for s in data_samples:
            self.results.append((s["clip"], float((s["pred"] - s["hq"]).square().mean())))

    def compute_metrics(self, results):
        names = [name for name, _ in results]
        return {
            "TinyError": sum(score for _, score in results) / len(results),
            "count": len(names),
            "distinct": len(set(names)),
        }


def tiny_config(**changes):
    """A training config of milliseconds an iteration; `changes` replace whole sections or, dotted, single values."""
    cfg = {
        "model": {
            "type": "RegressionRestorer",
            "backbone": {"type": "TinyNet"},
            "pixel_loss": {"type": "CharbonnierLoss"},
            "least_size_px": 1,
        },
        "train_dataloader": {"batch_size": 2, "num_workers": 0, "dataset": {"type": "TinyClips"}},
        "optim_wrapper": {"optimizer": {"type": "Adam", "lr": 1e-2}, "clip_grad": {"max_norm": 1.0}},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 4},
            {"type": "CosineAnnealingLR", "eta_min": 1e-5, "begin": 4, "end": 12},
        ],
        "train_cfg": {"max_iters": 12, "val_interval": 4},
        "val_dataloader": {"dataset": {"type": "TinyClips", "length": 3, "seed": 7}},
        "val_evaluator": [{"type": "TinyError"}],
        "default_hooks": {
            "logger": {"type": "LogHook", "interval": 1},
            "checkpoint": {"type": "SafeCheckpointHook", "interval": 4, "max_keep_ckpts": 2, "save_best": "TinyError"},
        },
        "custom_hooks": [
            {"type": "EMAHook", "momentum": 0.1},
            {"type": "FreezeHook", "names": "backbone.flow", "iters": 3},
            {"type": "SampleImageHook", "clips": 2},
        ],
        "randomness": {"seed": 3},
    }
    for path, value in changes.items():
        *folders, leaf = path.split(".")
        at = cfg
        for folder in folders:
            at = at[folder]
        at[leaf] = value
    return cfg


def clip_dataset(root, clips: int = 2, frames: int = 4, size: int = 24) -> dict:
    """The config of a real ClipDataset over small folders of noise, which are made where `root` is missing."""
    rng = np.random.default_rng(0)
    for clip in range(clips) if not Path(root).exists() else ():
        folder = Path(root) / f"noise_{clip}"
        folder.mkdir(parents=True)
        for frame in range(frames):
            Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(folder / f"{frame:04d}.png")
    return {
        "type": "ClipDataset",
        "roots": [str(root)],
        "degradation": {"type": "BicubicDown", "scale": 2},
        "frames": 2,
        "crop_px": 16,
        "progress": False,
    }


class PowerCut(Exception):
    """Stands for everything that ends a process in mid-flight."""


@HOOKS.register_module()
class EndAt(Hook):
    """After iteration `at` of rank `rank`: raise ('cut'), or send this process the named signal."""

    priority = "LOWEST"

    def __init__(self, at: int, how: str = "cut", rank: int = 0):
        self.at, self.how, self.rank = at, how, rank

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx + 1 == self.at and runner.rank in (self.rank, -1):
            if self.how == "cut":
                raise PowerCut
            os.kill(os.getpid(), getattr(signal, self.how))


@HOOKS.register_module()
class ShrinkDiskAt(Hook):
    """From iteration `at` on no file may grow beyond `limit_bytes`: writing fails as it does on a full disk."""

    def __init__(self, at: int, limit_bytes: int):
        self.at, self.limit_bytes = at, limit_bytes

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx + 1 == self.at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def with_hook(config: dict, **hook) -> dict:
    """A copy of a config with one more custom hook."""
    return {**config, "custom_hooks": [*config["custom_hooks"], hook]}


def read_log(work_dir) -> list[dict]:
    """The rows of a run's log, without what depends on the clock."""
    rows = [json.loads(line) for line in (Path(work_dir) / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


def assert_same_run(one, other, last: str = "iter_12.pth") -> None:
    """Two work dirs hold bitwise the same losses, scores, weights, averages, optimiser and schedules."""
    assert read_log(one) == read_log(other)
    a, b = (torch.load(Path(folder) / last, weights_only=True) for folder in (one, other))
    for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "message_hub"):
        assert_equal(a[part], b[part], part)
    assert {k: a["meta"][k] for k in ("iter", "draws")} == {k: b["meta"][k] for k in ("iter", "draws")}
    weights = [(Path(folder) / "weights.safetensors").read_bytes() for folder in (one, other)]
    assert weights[0] == weights[1]


def assert_equal(a, b, where: str) -> None:
    """Equal as nested plain data and tensors, bit for bit."""
    if isinstance(a, dict):
        assert set(a) == set(b), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}[{i}]")
    elif isinstance(a, Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where
