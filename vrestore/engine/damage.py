"""Damaged clips within batches: which windows had to be drawn anew, in whichever worker and process that was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed
from mmengine.dist import get_world_size

from vrestore.degradations import deferred

DAMAGED_CLIPS = "damaged_clips"  # in the message hub, and so in checkpoints: windows drawn anew, by the clip's name

Damage = list[tuple[str, str]]  # (name of the clip, what is wrong with it), one a window


def damage_of(batch: Mapping[str, Any]) -> Damage:
    """What the samples of a batch tell of damaged clips: ``record['source']['damaged']``, as `ClipDataset` notes it."""
    if isinstance(waiting := batch.get(deferred.KEY), deferred.DeferredBatch):  # it gets its records on the device
        sources = [step.source for step in waiting.steps]
    else:
        records = [record for record in batch.get("record") or () if isinstance(record, Mapping)]
        sources = [source for record in records if isinstance(source := record.get("source"), Mapping)]
    return [(str(name), str(reason)) for source in sources for name, reason in source.get("damaged") or ()]


def everywhere(here: Damage) -> Damage:
    """The damage that all processes met, the same in each; all must call it."""
    if get_world_size() == 1:
        return here
    parts: list = [here] * get_world_size()
    torch.distributed.all_gather_object(parts, here)
    return [(name, reason) for part in parts for name, reason in part]
