"""VideoINR (Chen et al., CVPR 2022, arXiv 2206.04647): any size and any time, by networks over coordinates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.backbones.zooming_slowmo import SpaceTimeFeatures
from vrestore.layers.frame_time import time_map
from vrestore.layers.siren import Siren
from vrestore.registry import BACKBONES

EDGE = 1 - 1e-6  # coordinates stay inside the outermost pixels' outer edges
UPSAMPLED = 4  # factor by which the released test path enlarges the frames that it shows to the networks


@BACKBONES.register_module()
class VideoINR(SpaceTimeFeatures):
    """Frames of any size at any times between two frames.

    The encoder is Zooming Slow-Mo's. Three sine networks then work at each pixel of the wanted size: features, two
    flows of the wanted time, and, from what the flows point to, the colour.

    Args:
        mid_channels: feature channels (official: 64).
        deform_groups: groups of channels that share an offset (official: 8).
        front_blocks: residual blocks of the frames' features (official: 5).
        back_blocks: residual blocks behind the recurrence (official: 40).
        hr_channels: of the release's layers ``upconv2``, ``HRconv`` and ``conv_last``, which are in its file but serve
            nothing (official: 64).
        feature_hidden, flow_hidden, encode_hidden: widths of the sine layers of each network.
        points: pixels that the networks see at a time; fewer take less memory.
    """

    num_frames = 2
    any_time = True

    def __init__(
        self,
        mid_channels: int = 64,
        deform_groups: int = 8,
        front_blocks: int = 5,
        back_blocks: int = 40,
        hr_channels: int = 64,
        feature_hidden: Sequence[int] = (64, 64, 256),
        flow_hidden: Sequence[int] = (64, 64, 256),
        encode_hidden: Sequence[int] = (64, 64, 256, 256),
        points: int = 2**16,
    ):
        super().__init__(mid_channels, deform_groups, front_blocks, back_blocks, hr_channels)
        self.points = points
        encoded, frames = 3 * mid_channels, 6
        # … the place within its pixel, and the time
        self.feat_imnet = Siren(encoded + frames + 2 + 1, feature_hidden, mid_channels)
        self.flow_imnet = Siren(mid_channels + encoded + frames + 1, flow_hidden, 4)
        self.encode_imnet = Siren(2 * (mid_channels + encoded + frames) + 1, encode_hidden, 3)
        for part in (self.upconv1, self.upconv2, self.HRconv, self.conv_last):
            part.requires_grad_(False)

    def forward(
        self,
        lq: Tensor,
        times: float | Tensor | Iterable[float | Tensor] = (0.0, 0.5),
        scale: Any = 4,
        test: bool = True,
    ) -> Tensor:
        """Frames at the given times.

        Args:
            lq: pairs of frames (B, 2, 3, h, w), RGB in [0, 1], sides multiples of 4.
            times: one time or several, 0 is the first frame and 1 the second; each a number or a tensor of the shapes
                that `time_map` takes. A tensor of other shapes is a list of times along its first axis.
            scale: factor of both sides, or the wanted (height, width) in pixels.
            test: show the flow and colour networks the frames enlarged by 4, as the released test code does whatever
                the scale; the released training code shows them as they are. The results differ.

        Returns:
            (B, number of times, 3, H, W), not clamped.

        Raises:
            ValueError: frames, times or a scale that it cannot take.
        """
        b, n, _, h, w = lq.shape
        if n != self.num_frames:
            raise ValueError(f"VideoINR takes clips of exactly 2 frames, (B, 2, 3, h, w), got {tuple(lq.shape)}")
        size = _wanted_size(scale, h, w)
        encoded = torch.cat([self.recon_trunk(x) for x in self.features(lq)], 1).to(lq.dtype)
        pair = lq.flatten(1, 2)
        shown = pair
        if test:
            shown = F.interpolate(pair, scale_factor=UPSAMPLED, mode="bilinear", align_corners=False)
        frames = [self._decode(encoded, pair, shown, time_map(t, lq[:, 0]), size) for t in _listed(times)]
        return torch.stack(frames, 1).view(b, len(frames), 3, *size)

    def _decode(self, encoded: Tensor, pair: Tensor, shown: Tensor, time: Tensor, size: tuple[int, int]) -> Tensor:
        """One frame (B, 3, H, W).

        Args:
            encoded: features of both frames and of the moment between (B, 3C, h, w).
            pair: both frames (B, 6, h, w).
            shown: both frames as the flow and colour networks see them (B, 6, h', w').
            time: (B, 1, h, w), the same at every pixel.
            size: (H, W).
        """
        b = encoded.shape[0]
        at = pixel_centres(size, encoded).expand(b, -1, -1, -1)
        moment = time[:, :, :1, :1].to(at.dtype)
        parts = [encoded, pair, pixel_centres(encoded.shape[-2:], encoded).movedim(-1, 1).expand(b, -1, -1, -1)]
        bounded = at.clamp(-EDGE, EDGE)

        def features(rows: slice) -> Tensor:
            place = bounded[:, rows]
            near_encoded, near_pair, near_centre = (_sample(x, place, "nearest") for x in parts)
            sides = encoded.new_tensor([encoded.shape[-1], encoded.shape[-2]]).to(at.dtype).view(1, 2, 1, 1)
            within = (at[:, rows].movedim(-1, 1) - near_centre) * sides
            return _at_points(self.feat_imnet, near_encoded, near_pair, within.flip(1), moment)

        fine = self._in_rows(features, size)

        def colours(rows: slice) -> Tensor:
            place = bounded[:, rows]
            known = [_sample(fine, place, "nearest"), _sample(encoded, place), _sample(shown, place)]
            flows = _at_points(self.flow_imnet, *known, moment)
            pointed = []
            for flow in (flows[:, :2], flows[:, 2:]):
                target = moved_grid(flow, rows, size)
                pointed.append([_sample(x, target) for x in (fine, encoded, shown)])
            return _at_points(self.encode_imnet, *(x for both in zip(*pointed, strict=True) for x in both), moment)

        return self._in_rows(colours, size).to(pair.dtype)

    def _in_rows(self, function, size: tuple[int, int]) -> Tensor:
        """Put together what a function of a range of rows makes, a few rows at a time."""
        step = max(self.points // size[1], 1)
        return torch.cat([function(slice(y, min(y + step, size[0]))) for y in range(0, size[0], step)], 2)


def pixel_centres(size: Sequence[int], like: Tensor) -> Tensor:
    """Centres of the pixels of an image that spans -1 to 1 (1, H, W, 2), the last axis (x, y); float32 at least."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    # in this order of operations: at many scales a centre lies exactly between two pixels, and rounding decides
    ys, xs = ((-1 + 1 / n) + (2 * (1 / n)) * torch.arange(n, device=like.device, dtype=dtype) for n in size)
    return torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], -1)[None]


def moved_grid(flow: Tensor, rows: slice, size: tuple[int, int]) -> Tensor:
    """Where flows point to, for `grid_sample`.

    The release counts positions from the first pixel's centre at -1 to the last one's at 1, and then samples as if -1
    and 1 were the image's edges.

    Args:
        flow: (B, 2, rows, W) in pixels (dx, dy).
        rows: which rows of the image these are.
        size: (height, width) of the image in pixels.
    """
    dtype = torch.promote_types(flow.dtype, torch.float32)
    ys = torch.linspace(-1, 1, size[0], device=flow.device, dtype=dtype)[rows]
    xs = torch.linspace(-1, 1, size[1], device=flow.device, dtype=dtype)
    dx, dy = (flow[:, i].to(dtype) / max((side - 1) / 2, 0.5) for i, side in enumerate((size[1], size[0])))
    return torch.stack([xs.view(1, 1, -1) + dx, ys.view(1, -1, 1) + dy], -1).clamp(-EDGE, EDGE)


def _sample(x: Tensor, place: Tensor, mode: str = "bilinear") -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        # beyond the outermost centres values fade to zero, as in the release
        return F.grid_sample(x.to(place.dtype), place, mode=mode, padding_mode="zeros", align_corners=False)


def _at_points(network: Siren, *parts: Tensor) -> Tensor:
    """A network over points, applied to every pixel of feature maps (B, C, H, W) put side by side."""
    h, w = parts[0].shape[-2:]
    x = torch.cat([part.expand(-1, -1, h, w) for part in parts], 1)
    return network(x.movedim(1, -1)).movedim(-1, 1)


def _wanted_size(scale: Any, h: int, w: int) -> tuple[int, int]:
    if isinstance(scale, (int, float)) and scale > 0:
        return max(round(h * float(scale)), 1), max(round(w * float(scale)), 1)
    try:  # numbers, tensors, or a batch's list of the same number
        size = tuple(int(torch.as_tensor(side).reshape(-1)[0]) for side in scale)
    except (TypeError, ValueError, IndexError):
        size = ()
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"VideoINR: scale must be a factor > 0 or (height, width) in pixels, got {scale!r}")
    return size[0], size[1]


def _listed(times: float | Tensor | Iterable[float | Tensor]) -> list[float | Tensor]:
    if isinstance(times, Real) or (isinstance(times, Tensor) and times.ndim == 0):
        return [times]  # type: ignore[list-item]
    return list(times)  # type: ignore[arg-type]
