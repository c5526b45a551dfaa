"""Deferred degradation: drawn for in a worker process, done where the model is.

A dataset with `degrade_on="device"` hands out clean clips, each with its `Deferred` degradation and the state of its
random generator; a restorer's data preprocessor finishes the batch on the model's device (`finish`). Every degradation
of the house takes frames on any device. Real codecs (`VideoCompression`, `JPEGCompression(coder="opencv")`) work on the
CPU and move the frames there and back, and random numbers are always NumPy's, so that what is drawn and recorded is the
same wherever the work is done; pixels are the same up to rounding, and bit for bit where the device is a CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Record
from vrestore.errors import DataError

KEY = "deferred"  # of a sample or a batch that is to be finished


@dataclass(frozen=True)
class Deferred:
    """What is still to be done to a clean clip.

    Attributes:
        degradation: called as a `Degradation`.
        rng: its generator, in the state that it was left in by the draws before; never changed.
        source: where the clip was cut, for the record.
    """

    degradation: Callable[[Tensor, np.random.Generator], tuple[Tensor, Record]]
    rng: np.random.Generator
    source: Mapping[str, Any]

    @torch.no_grad()
    def __call__(self, hq_TCHW: Tensor) -> tuple[Tensor, Record]:
        """The degraded clip, on the device of the clean one, and the whole record."""
        rng = copy.deepcopy(self.rng)
        with torch.autocast(hq_TCHW.device.type, enabled=False):
            lq, record = self.degradation(hq_TCHW, rng)
        # Drawn last, so that it moves no other draw; for models that draw noise of their own.
        return lq.to(hq_TCHW.device), {**record, "source": dict(self.source), "seed": int(rng.integers(2**63 - 1))}


@dataclass(frozen=True)
class DeferredBatch:
    """The deferred degradations of a batch, a clip each, and whether their clips stay a list."""

    steps: Sequence[Deferred]
    ragged: bool


def finish(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch of clean clips with `lq` and `record` made now; one that has nothing deferred as it is.

    Raises:
        DataError: the degraded clips differ in size, and the batch is not one that lists them.
    """
    if not isinstance(batch, dict) or not isinstance(batch.get(KEY), DeferredBatch):
        return batch
    deferred: DeferredBatch = batch[KEY]
    done = [step(hq) for step, hq in zip(deferred.steps, batch["hq"], strict=True)]
    clips = [lq for lq, _ in done]
    rest = {key: value for key, value in batch.items() if key not in (KEY, "hq")}
    lq = clips if deferred.ragged else stack_clips("lq", clips, batch.get("clip"))
    return {"lq": lq, "hq": batch["hq"], "record": [record for _, record in done], **rest}


def stack_clips(key: str, clips: Sequence[Tensor | None], names: Sequence | None) -> Tensor | None:
    """Clips of one shape as one tensor; None where all are.

    Args:
        key, names: what they are, and of which clips, for the error.

    Raises:
        DataError: they differ in shape, or only some are there.
    """
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
