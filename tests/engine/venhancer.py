"""A training config of VEnhancer in miniature, as the engine's tests train it."""

from __future__ import annotations

import copy

import numpy as np
import torch
import torch.nn.functional as F

from tests.contract.tiny import RESTORERS
from vrestore.layers.lora import is_lora
from vrestore.registry import DATASETS, MODELS
from vrestore.restorers import VEnhancer


@MODELS.register_module()
class ShakenVEnhancer(VEnhancer):
    """With a UNet whose every weight is away from zero, as one that was trained: a fresh one gives no gradients."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, parameter in self.unet.named_parameters():
                if not is_lora(name) and not parameter.is_meta:
                    parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)


@DATASETS.register_module()
class TinyKeyFrames:
    """Smooth random clips with key frames of them, unlike in number and size; a pure function of (seed, draw).

    Args:
        bad_draws: draws whose clip holds NaN.
        loud_draws: draws whose clip is no picture: its loss leaps up.
    """

    def __init__(self, frames=3, crop_px=(12, 8), seed=0, bad_draws=(), loud_draws=()):
        self.frames, self.crop_px, self.seed = frames, tuple(crop_px), seed
        self.bad_draws, self.loud_draws = bad_draws, loud_draws

    def __len__(self):
        return 6

    def __getitem__(self, draw):
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, draw]))
        hq = F.interpolate(torch.from_numpy(rng.random((self.frames, 3, 3, 2), dtype=np.float32)), size=self.crop_px)
        stride, small = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        record = {
            "key_frames": list(range(0, self.frames, stride)),
            "downscale": float(small),
            "noise_level": int(rng.integers(1, 301)),
            "seed": int(rng.integers(2**63 - 1)),
        }
        lq = F.avg_pool2d(hq[::stride], small)
        if draw in self.bad_draws:
            hq[0, 0, 0, 0] = float("nan")
        if draw in self.loud_draws:
            hq = hq * 1000
        return {"lq": lq, "hq": hq, "record": record, "clip": f"clip_{draw}", "prompt": None}


def tiny_training(**changes) -> dict:
    """The config; `changes` replace whole sections or, dotted, single values."""
    cfg = {
        "model": {
            **copy.deepcopy(RESTORERS["VEnhancer"]),
            "type": "ShakenVEnhancer",
            "training": {"trainable": "controlnet"},
        },
        "train_dataloader": {
            "batch_size": 2,
            "num_workers": 0,
            "collate_fn": {"type": "clip_collate", "ragged": ["lq"]},
            "dataset": {"type": "TinyKeyFrames"},
        },
        "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 1e-3}, "clip_grad": {"max_norm": 1.0}},
        "param_scheduler": [{"type": "CosineAnnealingLR", "eta_min": 1e-5}],
        "train_cfg": {"max_iters": 6},
        "default_hooks": {
            "logger": {"type": "LogHook", "interval": 1},
            "checkpoint": {"type": "SafeCheckpointHook", "interval": 2, "max_keep_ckpts": 1},
        },
        "custom_hooks": [{"type": "TrainedEMAHook", "momentum": 0.1}],
        "randomness": {"seed": 3},
    }
    for path, value in changes.items():
        *folders, leaf = path.split(".")
        at = cfg
        for folder in folders:
            at = at.setdefault(folder, {})
        at[leaf] = value
    return cfg
