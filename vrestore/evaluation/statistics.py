"""From frames to clips to a benchmark: means that name their exceptions, and a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BOOTSTRAP_SEED = 0
BOOTSTRAP_DRAWS = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ClipMean:
    """Mean of one clip's frames.

    Attributes:
        mean: over the frames that have a finite value; infinite if every measured frame is; NaN if none was measured.
        frames: frames scored.
        infinite: frames left out because they are identical to the ground truth (their PSNR is infinite).
        unmeasured: frames left out because they have no value (NaN).
    """

    mean: float
    frames: int
    infinite: int
    unmeasured: int


def clip_mean(values: Sequence[float]) -> ClipMean:
    """Mean over frames; one identical frame would make it infinite and hide all others, so those are counted apart."""
    finite = [v for v in values if math.isfinite(v)]
    infinite = [v for v in values if math.isinf(v)]
    mean = math.fsum(finite) / len(finite) if finite else (infinite[0] if infinite else math.nan)
    return ClipMean(mean, len(values), len(infinite), len(values) - len(finite) - len(infinite))


def mean_over_clips(means: Sequence[float]) -> float:
    """Mean over clips, under the same rule as over frames; independent of the order of the clips."""
    return clip_mean(means).mean


def bootstrap_interval(
    means: Sequence[float], seed: int = BOOTSTRAP_SEED, draws: int = BOOTSTRAP_DRAWS, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean over clips (Efron 1979).

    It says how far the mean would move with other clips of the same kind; with a handful of clips it is rough.

    Args:
        means: one finite mean a clip; infinite and unmeasured ones are left out.
        seed: of the resampling; the same clips always give the same interval, whatever their order.
        draws: resamples.
        confidence: share of resampled means inside the interval.

    Returns:
        (low, high), or None for fewer than two clips.
    """
    finite = np.sort([m for m in means if math.isfinite(m)])
    if len(finite) < 2:
        return None
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(finite), size=(draws, len(finite)))
    low, high = np.quantile(finite[picks].mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
