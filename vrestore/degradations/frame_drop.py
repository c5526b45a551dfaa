"""FrameDrop: frames that are lost on the way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.draws import Range, check_range
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS

FILLS = ("repeat", "blend", "remove")


@DEGRADATIONS.register_module()
class FrameDrop(Degradation):
    """Loses frames, each on its own with a drawn probability; the first one is always kept.

    Args:
        prob: least and most probability of losing a frame, drawn once a clip.
        fill: what is shown in its place: `repeat`, the last frame kept (the clip stutters); `blend`, the frames kept
            around it in proportion to how near they are; `remove`, nothing: the clip is shorter and jumps.

    Raises:
        ConfigError: an impossible range or an unknown fill.
    """

    def __init__(self, prob: Range = (0.05, 0.3), fill: str = "repeat"):
        self.prob = check_range("FrameDrop", "prob", prob, 0, 1)
        if fill not in FILLS:
            raise ConfigError(f"FrameDrop (DEGRADATIONS): fill must be {', '.join(FILLS)}, got {fill!r}")
        self.fill = fill
        self.draws_size = fill == "remove"

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        prob = float(rng.uniform(*self.prob))
        kept = rng.random(len(frames_TCHW)) >= prob
        kept[0] = True
        places = np.flatnonzero(kept)
        record = {
            **{"name": "FrameDrop", "scale": 1, "fill": self.fill, "prob": prob},
            "dropped": [int(t) for t in np.flatnonzero(~kept)],
        }
        if self.fill == "remove":
            return frames_TCHW[torch.from_numpy(places).to(frames_TCHW.device)], record
        rank = np.cumsum(kept) - 1
        before = places[rank]
        if self.fill == "repeat":
            return frames_TCHW[torch.from_numpy(before).to(frames_TCHW.device)], record
        after = places[np.minimum(rank + ~kept, len(places) - 1)]
        gap = np.maximum(after - before, 1)
        share = np.where(kept, 0.0, (np.arange(len(kept)) - before) / gap) * (after > before)
        weight = torch.from_numpy(share).to(frames_TCHW).view(-1, 1, 1, 1)
        first, second = (frames_TCHW[torch.from_numpy(i).to(frames_TCHW.device)] for i in (before, after))
        return torch.lerp(first, second, weight), record
