"""SampleImageHook: pictures of what the model does, at every validation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from PIL import Image
from torch import Tensor

from vrestore.engine.files import write_whole
from vrestore.errors import ConfigError
from vrestore.registry import HOOKS


@HOOKS.register_module()
class SampleImageHook(Hook):
    """Saves ``<work_dir>/samples/iter_N/<clip>.png``: input enlarged (bicubic) | prediction | ground truth.

    Args:
        clips: how many of the first clips of the benchmark to show.
        frame: number of the frame, or ``'middle'``.
        most_width_px: wider frames are cut at the right to this width, so that pictures stay small.
    """

    priority = "NORMAL"

    def __init__(self, clips: int = 4, frame: int | str = "middle", most_width_px: int = 640):
        if frame != "middle" and (not isinstance(frame, int) or frame < 0):
            raise ConfigError(f"SampleImageHook: frame must be 'middle' or a number >= 0, got {frame!r}")
        self.clips, self.frame, self.most_width_px = clips, frame, most_width_px

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        for i, sample in enumerate(outputs or []):
            number = (batch_idx * len(outputs) + i) * get_world_size() + get_rank()
            if number < self.clips:
                self._save(runner, number, sample)

    def _save(self, runner, number: int, sample: dict) -> None:
        strip_CHW = side_by_side(sample["lq"], sample["pred"], sample.get("hq"), self.frame, self.most_width_px)
        name = re.sub(r"[^\w.-]+", "_", str(sample.get("clip") or f"clip_{number}"))
        iteration = runner.iter
        pixels = (strip_CHW * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        path = Path(runner.work_dir) / "samples" / f"iter_{iteration:06d}" / f"{name}.png"
        write_whole(path, lambda file: Image.fromarray(pixels).save(file, format="PNG"))
        runner.visualizer.add_image(f"samples/{name}", np.ascontiguousarray(pixels), step=iteration)


def side_by_side(
    lq_TCHW: Tensor, pred_TCHW: Tensor, hq_TCHW: Tensor | None, frame: int | str = "middle", most_width_px: int = 640
) -> Tensor:
    """One frame as input enlarged to the prediction's size | prediction | ground truth.

    Args:
        frame: number of a predicted frame, or ``'middle'``; input and truth show the frame at the same time.

    Returns:
        float picture (3, H, 2W or 3W) in [0, 1], each part at most `most_width_px` wide.
    """
    count = len(pred_TCHW)
    index = count // 2 if frame == "middle" else min(int(frame), count - 1)
    pred_CHW = pred_TCHW[index].float()
    parts = [pred_CHW]
    lq_CHW = lq_TCHW[index * len(lq_TCHW) // count].float().to(pred_CHW.device)
    enlarged = F.interpolate(lq_CHW[None], size=pred_CHW.shape[-2:], mode="bicubic", align_corners=False)[0]
    parts.insert(0, enlarged)
    if hq_TCHW is not None:
        parts.append(hq_TCHW[min(index, len(hq_TCHW) - 1)].float().to(pred_CHW.device))
    return torch.cat([part[..., :most_width_px].clamp(0, 1) for part in parts], dim=-1)
