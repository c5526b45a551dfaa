"""clip_collate: samples -> one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import FUNCTIONS
from torch import Tensor

from vrestore.errors import DataError


@FUNCTIONS.register_module()
def clip_collate(samples: list[dict], ragged: Sequence[str] = ()) -> dict[str, Any]:
    """Stack the clips of the samples and list everything else.

    Args:
        ragged: keys whose clips may differ in size and number of frames and are listed instead of stacked, such as
            ``lq`` where a degradation draws its scale anew for each clip.
        samples: dicts with `lq` (T, C, h, w) and perhaps `hq` (T, C, H, W) or None, `record`, `clip`, ….

    Returns:
        dict(lq (B, T, C, h, w), hq (B, T, C, H, W) or None, record=list, clip=list[str], …).

    Raises:
        DataError: the clips of a batch differ in size, or only some have an `hq`.
    """
    if not samples:
        raise DataError("a batch needs at least one sample")
    batch: dict[str, Any] = {key: [sample.get(key) for sample in samples] for key in samples[0]}
    for key in ("lq", "hq", "hq_unsharpened"):
        if key in batch and key not in ragged:
            batch[key] = _stack(key, batch[key], batch.get("clip"))
    return batch


def _stack(key: str, clips: list[Tensor | None], names: list | None) -> Tensor | None:
    present = [clip for clip in clips if clip is not None]
    if not present:
        return None
    shapes = {tuple(clip.shape) for clip in present}
    if len(present) < len(clips) or len(shapes) > 1:
        found = ", ".join(
            f"{name or i}: {'none' if clip is None else 'x'.join(map(str, clip.shape))}"
            for i, (name, clip) in enumerate(zip(names or [None] * len(clips), clips, strict=True))
        )
        raise DataError(f"the '{key}' clips of a batch must have one shape; use batch_size=1 or a crop ({found})")
    return torch.stack(present)
