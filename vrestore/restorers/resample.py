"""ResampleRestorer: classical interpolation in space and time, the floor that every method is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from vrestore.degradations.resize import imresize
from vrestore.errors import ConfigError
from vrestore.registry import MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.request import Request

# kernel of `imresize`; without antialiasing a box of one pixel is the nearest neighbour
KERNELS = {
    "nearest": "box",
    "bilinear": "linear",
    "bicubic": "cubic",
    "bicubic-torch": "cubic75",
    "lanczos": "lanczos3",
}
TEMPORAL = ("repeat", "blend")


@MODELS.register_module()
class ResampleRestorer(BaseRestorer):
    """Resample each frame by a fixed kernel, and the frame axis by repeating or blending neighbours.

    The kernels are MATLAB's and Pillow's (cubic with a = -0.5, three-lobed Lanczos), and torch's and OpenCV's sharper
    cubic (a = -0.75) as ``bicubic-torch``; shrinking is antialiased, except by ``nearest``. Time runs by frame start:
    output frame k shows the input at position ``k / factor``.

    Args:
        spatial: ``nearest``, ``bilinear``, ``bicubic``, ``bicubic-torch`` or ``lanczos``.
        temporal: ``repeat`` holds the earlier frame, ``blend`` mixes both neighbours linearly.
        scale: spatial factor when a request names neither scale nor size.

    Raises:
        ConfigError: an unknown kernel or temporal rule.
    """

    def __init__(self, spatial: str = "bicubic", temporal: str = "repeat", scale: float = 4):
        super().__init__()
        if spatial not in KERNELS:
            raise ConfigError(f"ResampleRestorer: spatial must be one of {', '.join(KERNELS)}, got {spatial!r}")
        if temporal not in TEMPORAL:
            raise ConfigError(f"ResampleRestorer: temporal must be one of {', '.join(TEMPORAL)}, got {temporal!r}")
        self.spatial = spatial
        self.temporal = temporal
        self.scale = float(scale)

    @property
    def capabilities(self) -> Capabilities:
        reach = 1 if self.temporal == "blend" else 0
        return Capabilities(
            spatial_scales=Scales(between=(1 / 64, 64)),
            default_scale=self.scale,
            temporal_scales=Scales(between=(1 / 64, 64)),
            context_frames=reach,
            tile_overlap_px=8,
            chunk_overlap_frames=reach,
        )

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        h, w = frames_TCHW.shape[-2:]
        factor = self.capabilities.factor(request)
        size = request.size or (max(round(h * factor), 1), max(round(w * factor), 1))
        frames = imresize(frames_TCHW, size=size, kernel=KERNELS[self.spatial], antialias=self.spatial != "nearest")
        return resample_time(frames, request.time_factor(), blend=self.temporal == "blend")


def resample_time(frames_TCHW: Tensor, factor: float, blend: bool = False) -> Tensor:
    """Change the number of frames to ``round(T * factor)``, at least one.

    Args:
        frames_TCHW: frames (T, C, H, W).
        factor: multiple of the frame rate, > 0.
        blend: mix both neighbours by their distance instead of holding the earlier one. After the last frame the last
            one is held.
    """
    t = frames_TCHW.shape[0]
    if factor == 1:
        return frames_TCHW
    count = max(round(t * factor), 1)
    position = torch.arange(count, dtype=torch.float64) / factor
    # 1e-9: a position that is whole but for rounding belongs to that frame, not to the one before
    earlier = (position + 1e-9).floor().long().clamp(max=t - 1)
    if not blend:
        return frames_TCHW[earlier.to(frames_TCHW.device)]
    later = (earlier + 1).clamp(max=t - 1)
    share = (position - earlier).clamp(0, 1).to(frames_TCHW).view(-1, 1, 1, 1)
    return torch.lerp(frames_TCHW[earlier], frames_TCHW[later], share)
