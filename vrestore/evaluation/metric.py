"""Metric: one class, one name, one protocol; a value a frame."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from vrestore.errors import EvaluationError, NotMeasuredError
from vrestore.evaluation.statistics import clip_mean, mean_over_clips


class Metric(BaseMetric):
    """Scores restored clips; serves MMEngine's val loop and the benchmark runner alike.

    A subclass implements `score` and `protocol` and sets what follows. Its name carries whatever differs from the usual
    protocol (`PSNR-Y`, `PSNR-Y-crop8`), so that two protocols never share a column.

    Attributes:
        metric: the plain name, for example `PSNR`.
        version: rises whenever the same input would give another number.
        higher_is_better: which way is better.
        needs_reference: whether it compares with a ground truth.
        unit: for example `dB`; empty for a bare number.
        name: the name of its column.
    """

    metric: ClassVar[str]
    version: ClassVar[int] = 1
    higher_is_better: ClassVar[bool] = True
    needs_reference: ClassVar[bool] = True
    unit: ClassVar[str] = ""

    def __init__(self, collect_device: str = "cpu", prefix: str | None = None, collect_dir: str | None = None):
        super().__init__(collect_device=collect_device, prefix=prefix or "none", collect_dir=collect_dir)
        self.prefix = prefix  # MMEngine warns about a missing prefix; the names here need none

    @property
    def name(self) -> str:
        return self.metric

    @property
    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How the number is made, as plain data: `base_protocol` and what is particular."""

    @abstractmethod
    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None) -> list[float]:
        """Score every frame of one clip.

        Args:
            pred_TCHW: output (T, 3, H, W), RGB in [0, 1].
            hq_TCHW: ground truth of the same shape, or None where there is none.

        Returns:
            One number a frame; infinite where frames are identical and the metric says so, NaN where a frame
            (a flat one, say) has no value.

        Raises:
            EvaluationError: size or frame count differ, or the output is not finite.
            NotMeasuredError: it cannot be measured here; the message says why and what would help.
        """

    def base_protocol(self, **particular: Any) -> dict[str, Any]:
        """What every protocol states, with what is particular to one metric."""
        return {"metric": self.metric, "version": self.version, "frames": "all", "resize": "none", **particular}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """MMEngine's door: score a batch of `predict` outputs, each a dict with `pred`, `hq` and `clip`."""
        for sample in data_samples:
            clip = str(sample.get("clip"))
            try:
                values = self.score(sample["pred"], sample.get("hq"))
            except NotMeasuredError as reason:
                self.results.append({"clip": clip, "values": None, "reason": str(reason)})
            except EvaluationError as error:
                raise EvaluationError(f"{self.name} of clip '{clip}': {error}") from error
            else:
                self.results.append({"clip": clip, "values": values, "reason": None})

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Mean over frames, then over clips. What could not be measured is said once and yields no number."""
        missing = [result for result in results if result["values"] is None]
        if missing:
            print_log(f"{self.name} not measured: {missing[0]['reason']}", logger="current", level=logging.WARNING)
            return {}
        if not results:
            return {}
        mean = mean_over_clips([clip_mean(result["values"]).mean for result in results])
        return {} if math.isnan(mean) else {self.name: mean}
