"""Scene cuts: where one shot of a clip ends and the next begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch.nn.functional as F

from vrestore.video import VideoReader

SIDE_PX = 32  # frames are compared as luma this small
LEAST_CHANGE = 0.08  # mean difference of two frames that may be a cut
TIMES_USUAL = 3.0  # how far a cut stands out from the changes around it
NEIGHBOURS = 4  # changes on either side that are the usual ones
BLOCK_FRAMES = 16


def scene_cuts(path: str | Path) -> list[int]:
    """Numbers of the frames that begin a new scene, in order; the first frame is none of them.

    A cut is a change that stands out from those around it and lasts: a flash, after which the old picture comes back,
    is none. Fades and dissolves are not found.

    Raises:
        MediaError: the clip cannot be read.
    """
    small = []
    with VideoReader(Path(path)) as reader:
        for block in reader.blocks(BLOCK_FRAMES):
            luma = block.frames.float().mean(1, keepdim=True)
            small.append(F.adaptive_avg_pool2d(luma, SIDE_PX).flatten(1).numpy())
    return cuts_of(np.concatenate(small))


def cuts_of(frames_TN: np.ndarray) -> list[int]:
    """As `scene_cuts`, of the small frames themselves, a row each, in [0, 1]."""
    change = np.abs(np.diff(frames_TN, axis=0)).mean(1)  # change[t]: from frame t to t + 1
    cuts = []
    for t, here in enumerate(change):
        around = np.concatenate((change[max(0, t - NEIGHBOURS) : t], change[t + 1 : t + 1 + NEIGHBOURS]))
        usual = float(np.median(around)) if len(around) else 0.0
        if here < LEAST_CHANGE or here < TIMES_USUAL * usual:
            continue
        if _comes_back(frames_TN, t, here):
            continue
        cuts.append(t + 1)
    return cuts


def _comes_back(frames_TN: np.ndarray, t: int, change: float) -> bool:
    """Whether the picture before frame t + 1 is there again soon after, or frame t itself was the strange one."""

    def near(a: int, b: int) -> bool:
        inside = 0 <= a < len(frames_TN) and 0 <= b < len(frames_TN)
        return inside and float(np.abs(frames_TN[a] - frames_TN[b]).mean()) < change / TIMES_USUAL

    return near(t, t + 2) or near(t, t + 3) or near(t - 1, t + 1) or near(t - 2, t + 1)
