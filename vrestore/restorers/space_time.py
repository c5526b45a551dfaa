"""SpaceTimeRestorer: larger frames and more of them, by one network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.padding import pad_to_size
from vrestore.registry import BACKBONES, LOSSES, MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.interpolation import ANY_TIME, steps_between
from vrestore.restorers.moments import Moment, batches, in_pairs, plan_moments
from vrestore.restorers.request import Request

SPATIAL = (1.0, 8.0)
LARGEST_SEARCH_PX = 32  # by how much more than needed a side may be padded
SMALL_MISFIT_PX = 0.02


@MODELS.register_module()
class SpaceTimeRestorer(BaseRestorer):
    """Frames at a higher rate and of a larger size, from one network that makes both.

    A clip of T frames becomes ``round(T * factor)`` frames, frame k at the time ``k / factor``; behind the last frame
    nothing is known: it is held. Two kinds of network are served:

    - over clips (Zooming Slow-Mo): ``net(lq (B, N, 3, h, w)) -> (B, (N - 1) * time_scale + 1, 3, …)``. It serves its
      own factors of time and space. Where a request asks for no higher rate, the frames between are made and dropped.
    - over pairs (VideoINR; its ``num_frames`` is 2): ``net(pair (B, 2, 3, h, w), times, (height, width))``. It serves
      any factor and any size; sides are padded by mirroring, and what comes of the padding is cropped. The only frame
      of a clip is a pair with itself.

    Args:
        backbone: config of the network (BACKBONES).
        scale: spatial factor of a network over pairs where a request names none, 1 to 8.
        pixel_loss: config of the loss between prediction and clean clip (LOSSES).
        batch_pairs: pairs that a network over pairs sees at a time.
        chunk_overlap_frames: frames of context on either side with which a network over clips may work in blocks, at
            least 1; None shows it whole clips. A recurrent network forgets: the figure belongs to its weights,
            measured.
        chunk_drift_db: PSNR in dB between a clip restored in such blocks and restored whole, as measured.
        least_size_px: smallest side of an input frame.
        weights_licence: licence of the weights in use, shown with the capabilities.

    Raises:
        ConfigError: a value out of its range.
    """

    def __init__(
        self,
        backbone: dict,
        scale: float = 4,
        pixel_loss: dict | None = None,
        batch_pairs: int = 1,
        chunk_overlap_frames: int | None = None,
        chunk_drift_db: float | None = None,
        least_size_px: int = 8,
        weights_licence: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = BACKBONES.build(backbone)
        self.over_pairs = getattr(self.backbone, "num_frames", None) == 2
        self._check(scale, batch_pairs, chunk_overlap_frames)
        self.scale = float(scale if self.over_pairs else self.backbone.scale)
        self.pixel_loss = LOSSES.build(pixel_loss or {"type": "CharbonnierLoss"})
        self.batch_pairs = batch_pairs
        self._chunk_overlap_frames = chunk_overlap_frames
        self._chunk_drift_db = chunk_drift_db
        self._least_size_px = least_size_px
        self._weights_licence = weights_licence

    def _check(self, scale: float, batch_pairs: int, chunk_overlap_frames: int | None) -> None:
        name = type(self.backbone).__name__
        if not self.over_pairs and not hasattr(self.backbone, "time_scale"):
            raise ConfigError(
                f"SpaceTimeRestorer needs a network that makes frames between frames, such as ZoomingSlowMo or "
                f"VideoINR; {name} has neither time_scale nor num_frames = 2"
            )
        if not SPATIAL[0] <= scale <= SPATIAL[1]:
            raise ConfigError(f"scale must lie from {SPATIAL[0]:g} to {SPATIAL[1]:g}, got {scale!r}")
        if batch_pairs < 1:
            raise ConfigError(f"batch_pairs must be at least 1, got {batch_pairs!r}")
        if chunk_overlap_frames is not None and chunk_overlap_frames < 1:
            raise ConfigError(
                f"chunk_overlap_frames must be at least 1, because a frame between needs the frame behind it; got "
                f"{chunk_overlap_frames!r}"
            )

    @property
    def capabilities(self) -> Capabilities:
        common: dict[str, Any] = {
            "default_scale": self.scale,
            "least_size_px": self._least_size_px,
            "dtypes": ("fp32", "bf16", "fp16"),
            "weights_licence": self._weights_licence,
        }
        if self.over_pairs:  # it pads by itself, by what fits the asked size
            spatial = Scales(between=SPATIAL)
            return Capabilities(spatial, temporal_scales=ANY_TIME, context_frames=1, chunk_overlap_frames=1, **common)
        return Capabilities(
            Scales(fixed=(self.scale,)),
            temporal_scales=Scales(fixed=(1.0, float(self.backbone.time_scale))),
            size_multiple=int(getattr(self.backbone, "least_multiple", 1)),
            context_frames=None,
            chunk_overlap_frames=self._chunk_overlap_frames,
            chunk_drift_db=self._chunk_drift_db,
            **common,
        )

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        return torch.cat(list(self.stream_frames(frames_TCHW, request)))

    def stream_frames(self, frames_TCHW: Tensor, request: Request) -> Iterator[Tensor]:
        moments = plan_moments(len(frames_TCHW), request.time_factor())
        if self.over_pairs:
            yield from self._pair_by_pair(frames_TCHW, moments, self._factors(request, *frames_TCHW.shape[-2:]))
            return
        clip = self.backbone(frames_TCHW[None])[0]
        yield clip[[int((i + time) * self.backbone.time_scale) for i, time in moments]]

    def _factors(self, request: Request, height: int, width: int) -> tuple[float, float]:
        """Of height and width; those of an asked size only where the network serves them."""
        if request.size is not None:
            factors = request.size[0] / height, request.size[1] / width
            if SPATIAL[0] <= min(factors) <= max(factors) <= SPATIAL[1]:
                return factors
        factor = self.capabilities.factor(request)
        return factor, factor

    def _pair_by_pair(
        self, frames_TCHW: Tensor, moments: list[Moment], factors: tuple[float, float]
    ) -> Iterator[Tensor]:
        t, _, h, w = frames_TCHW.shape
        multiple = int(getattr(self.backbone, "least_multiple", 1))
        (padded_h, made_h), (padded_w, made_w) = (
            fitting_sides(side, factor, multiple) for side, factor in zip((h, w), factors, strict=True)
        )
        size = round(h * factors[0]), round(w * factors[1])
        padded = pad_to_size(frames_TCHW, padded_h, padded_w)
        made = 0
        for batch in batches(in_pairs(moments, t), self.batch_pairs):
            first = torch.tensor([i for i, _ in batch], device=padded.device)
            pairs = torch.stack([padded[first], padded[(first + 1).clamp(max=t - 1)]], 1)
            times = [float(time) for time in batch[0][1]]
            frames = self.backbone(pairs, times, (made_h, made_w))[..., : size[0], : size[1]].flatten(0, 1)
            yield frames
            made += len(frames)
            if self.on_progress is not None:
                self.on_progress((batch[-1][0] + 1) / t)
        if made < len(moments):  # held for the rest of its time
            yield frames[-1:].expand(len(moments) - made, -1, -1, -1)

    def loss(self, lq: Tensor, hq: Tensor, record: list | None = None) -> dict[str, Tensor]:
        """The loss over all frames.

        Args:
            lq: degraded frames (B, N, 3, h, w); N is 2 for a network over pairs.
            hq: clean frames (B, (N - 1) * k + 1, 3, H, W) from the first degraded frame's time to the last one's.
            record: unused.

        Raises:
            ConfigError: clips that do not fit each other.
        """
        if self.over_pairs:
            step = steps_between(lq.shape[1], hq.shape[1])
            times = [j / step for j in range(step + 1)]
            made = self.backbone(lq, times, tuple(hq.shape[-2:]), test=False)
        else:
            made = self.backbone(lq)
        if made.shape != hq.shape:
            raise ConfigError(
                f"{type(self.backbone).__name__} makes {tuple(made.shape)} (B, T, C, H, W) of {tuple(lq.shape)}, the "
                f"clean clips are {tuple(hq.shape)}: the data's scales and the network's differ"
            )
        return {"loss_pixel": self.pixel_loss(made, hq)}


def fitting_sides(side: int, factor: float, multiple: int) -> tuple[int, int]:
    """A padded side, and the length to be made of it so that it grows by a factor.

    The length is a whole number of pixels, so the factor may be missed by a little; of the paddings that miss it by
    less than a fiftieth of a pixel the smallest is taken, else the one that misses it least.

    Args:
        side: in pixels.
        factor: >= 1.
        multiple: what the padded side must be a multiple of.
    """
    least = side + -side % multiple
    candidates = range(least, least + LARGEST_SEARCH_PX + 1, multiple)
    misfits = {padded: abs(padded * factor - round(padded * factor)) for padded in candidates}
    fitting = [padded for padded in candidates if misfits[padded] <= SMALL_MISFIT_PX]
    padded = fitting[0] if fitting else min(candidates, key=misfits.__getitem__)
    return padded, round(padded * factor)
