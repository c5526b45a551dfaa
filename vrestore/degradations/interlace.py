"""Interlace: frames woven from fields of different moments, and what de-interlacers leave of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.draws import check_prob, check_weights, choose
from vrestore.registry import DEGRADATIONS

DEINTERLACERS = ("none", "blend", "linear", "bob")


@DEGRADATIONS.register_module()
class Interlace(Degradation):
    """Takes every other line of a frame from the next frame, as an interlaced recording does, then de-interlaces.

    A field is half the lines of one moment. Frame t shows the first field of frame t and the second one of frame t + 1;
    the last frame takes both from itself. What is done about it:

    - `none`: nothing; whatever moves is combed.
    - `blend`: each line is averaged with its neighbours (1, 2, 1)/4: no combs, but ghosts, and half the sharpness.
    - `linear`: the lines of the second field are thrown away and interpolated from those around them: stairs on edges.
    - `bob`: as `linear`, but every other frame keeps the second field instead of the first: the picture bobs.

    Args:
        deinterlacers: how often each is drawn; once a clip.
        top_first_prob: how often the first field is that of the even lines 0, 2, ….

    Raises:
        ConfigError: an unknown de-interlacer, or no probability.
    """

    def __init__(self, deinterlacers: Any = DEINTERLACERS, top_first_prob: float = 0.5):
        self.deinterlacers = check_weights("Interlace", "deinterlacers", deinterlacers, DEINTERLACERS)
        self.top_first_prob = check_prob("Interlace", "top_first_prob", top_first_prob)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        method, top_first = choose(rng, self.deinterlacers), bool(rng.random() < self.top_first_prob)
        second = 1 if top_first else 0
        woven = frames_TCHW.clone()
        woven[:-1, :, second::2] = frames_TCHW[1:, :, second::2]
        if method == "blend":
            woven = (_line_above(woven) + 2 * woven + _line_below(woven)) / 4
        elif method == "linear":
            woven = _without_field(woven, second)
        elif method == "bob":
            woven[0::2] = _without_field(woven[0::2], second)
            woven[1::2] = _without_field(woven[1::2], 1 - second)
        record = {"name": "Interlace", "scale": 1, "top_first": top_first, "deinterlacer": method}
        return woven, record


def _without_field(frames_TCHW: Tensor, field: int) -> Tensor:
    """The frames with the lines `field`, `field + 2`, … interpolated from the lines around them."""
    result = frames_TCHW.clone()
    between = (_line_above(frames_TCHW) + _line_below(frames_TCHW)) / 2
    result[..., field::2, :] = between[..., field::2, :]
    return result


def _line_above(frames: Tensor) -> Tensor:
    """Each line's neighbour above; for the first line the one below it, which belongs to the same field."""
    first = frames[..., 1:2, :] if frames.shape[-2] > 1 else frames[..., :1, :]
    return torch.cat((first, frames[..., :-1, :]), -2)


def _line_below(frames: Tensor) -> Tensor:
    """Each line's neighbour below; for the last line the one above it."""
    last = frames[..., -2:-1, :] if frames.shape[-2] > 1 else frames[..., -1:, :]
    return torch.cat((frames[..., 1:, :], last), -2)
