"""Where between two frames nothing can be, or need be, interpolated: scene cuts and frames that stand still."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.ssim import ssim_map

THUMBNAIL_PX = 32
STILL_LEVELS = 2.5  # of 255: thumbnails hide what moves slowly, so frames that stand still must be equal pixel by pixel


def check_thresholds(cut_below: float | None, static_above: float | None) -> None:
    """Refuse thresholds that are no similarities.

    Raises:
        ConfigError: names the argument.
    """
    for name, value in (("cut_below", cut_below), ("static_above", static_above)):
        if value is not None and not -1 <= value <= 1:
            raise ConfigError(f"{name} must be a similarity from -1 to 1, or None to switch it off; got {value!r}")


def uninterpolated(frames_TCHW: Tensor, cut_below: float | None, static_above: float | None) -> list[bool]:
    """For each pair of neighbours, whether it is a cut or stands still.

    The similarity is SSIM of thumbnails of 32x32 pixels, as in Practical-RIFE.

    Args:
        frames_TCHW: frames (T, C, H, W) in [0, 1].
        cut_below: pairs less similar than this are cuts; None knows no cuts.
        static_above: pairs more similar than this stand still, if no pixel changes by more than 2 levels of 255; None
            has everything interpolated.

    Returns:
        T - 1 truth values.
    """
    if len(frames_TCHW) < 2 or (cut_below is None and static_above is None):
        return [False] * max(len(frames_TCHW) - 1, 0)
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    # frame by frame: a whole clip in float64 would be large
    small = torch.stack([F.interpolate(f[None].float(), size=size, mode="bilinear")[0] for f in frames_TCHW])
    levels = small.double() * 255
    similarity = ssim_map(levels[:-1], levels[1:]).mean((1, 2, 3)).tolist()
    found = []
    for i, alike in enumerate(similarity):
        cut = cut_below is not None and alike < cut_below
        still = static_above is not None and alike > static_above
        found.append(cut or (still and _equal(frames_TCHW[i], frames_TCHW[i + 1])))
    return found


def _equal(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().amax() * 255 <= STILL_LEVELS)
