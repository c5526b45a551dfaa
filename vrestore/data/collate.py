"""clip_collate: samples -> one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.registry import FUNCTIONS

from vrestore.degradations import deferred
from vrestore.errors import DataError


@FUNCTIONS.register_module()
def clip_collate(samples: list[dict], ragged: Sequence[str] = ()) -> dict[str, Any]:
    """Stack the clips of the samples and list everything else.

    Args:
        ragged: keys whose clips may differ in size and number of frames and are listed instead of stacked, such as
            ``lq`` where a degradation draws its scale anew for each clip.
        samples: dicts with `lq` (T, C, h, w) and perhaps `hq` (T, C, H, W) or None, `record`, `clip`, ….

    Returns:
        dict(lq (B, T, C, h, w), hq (B, T, C, H, W) or None, record=list, clip=list[str], …); with `deferred` in place
        of `lq` and `record` where the clips are degraded on the model's device.

    Raises:
        DataError: the clips of a batch differ in size, or only some have an `hq`.
    """
    if not samples:
        raise DataError("a batch needs at least one sample")
    batch: dict[str, Any] = {key: [sample.get(key) for sample in samples] for key in samples[0]}
    for key in ("lq", "hq", "hq_unsharpened"):
        if key in batch and key not in ragged:
            batch[key] = deferred.stack_clips(key, batch[key], batch.get("clip"))
    if deferred.KEY in batch:
        batch[deferred.KEY] = deferred.DeferredBatch(batch[deferred.KEY], "lq" in ragged)
    return batch
