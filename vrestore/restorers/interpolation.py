"""InterpolationRestorer: more frames a second, by a network over pairs of neighbours."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import BACKBONES, LOSSES, MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.moments import Moment, batches, plan_moments
from vrestore.restorers.request import Request
from vrestore.restorers.scenes import check_thresholds, uninterpolated

ANY_TIME = Scales(between=(1 / 8, 16))
HALVED_TIME = Scales(fixed=(1.0, 2.0, 4.0, 8.0, 16.0))  # what a network that knows only the middle reaches


@MODELS.register_module()
class InterpolationRestorer(BaseRestorer):
    """Frames between frames, at their exact times; the given frames are kept as they are.

    A clip of T frames becomes ``round(T * factor)`` frames, frame k at the time ``k / factor``. Behind the last frame
    nothing is known: it is held; a clip of one frame repeats it. A network that knows only the middle of two frames is
    called again and again between what it found, which reaches the factors 2, 4, 8 and 16.

    Args:
        backbone: config of the network (BACKBONES): ``net(img0, img1, timestep) -> frame``, for frames (N, 3, H, W)
            whose sides are multiples of its ``size_multiple``; frames are padded by mirroring and cropped back. Its
            ``any_time`` says whether it takes every timestep.
        pixel_loss: config of the loss between prediction and clean frames (LOSSES).
        batch_pairs: pairs that the network sees at a time.
        cut_below: between frames less similar than this there is a cut, and the nearer frame is shown; None switches it
            off. See `uninterpolated`.
        static_above: between frames more similar than this nothing moves, and the nearer frame is shown; None switches
            it off.
        size_multiple: pixels that height and width are padded to a multiple of; None is the network's.
        weights_licence: licence of the weights in use, shown with the capabilities.

    Raises:
        ConfigError: a value out of its range.
    """

    def __init__(
        self,
        backbone: dict,
        pixel_loss: dict | None = None,
        batch_pairs: int = 4,
        cut_below: float | None = 0.2,
        static_above: float | None = 0.996,
        size_multiple: int | None = None,
        weights_licence: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if batch_pairs < 1:
            raise ConfigError(f"InterpolationRestorer: batch_pairs must be at least 1, got {batch_pairs!r}")
        check_thresholds(cut_below, static_above)
        self.backbone = BACKBONES.build(backbone)
        self.pixel_loss = LOSSES.build(pixel_loss or {"type": "CharbonnierLoss"})
        self.batch_pairs = batch_pairs
        self.cut_below, self.static_above = cut_below, static_above
        self.any_time = bool(getattr(self.backbone, "any_time", True))
        self._size_multiple = size_multiple or int(getattr(self.backbone, "size_multiple", 1))
        self._weights_licence = weights_licence

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            spatial_scales=Scales(fixed=(1.0,)),
            temporal_scales=ANY_TIME if self.any_time else HALVED_TIME,
            size_multiple=self._size_multiple,
            context_frames=1,
            chunk_overlap_frames=1,
            dtypes=("fp32", "bf16", "fp16"),
            weights_licence=self._weights_licence,
        )

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        moments = plan_moments(len(frames_TCHW), request.time_factor())
        result = frames_TCHW.new_empty(len(moments), *frames_TCHW.shape[1:])
        skipped = uninterpolated(frames_TCHW, self.cut_below, self.static_above) if any(t for _, t in moments) else []
        wanted = []  # numbers in the result, and their moments
        for k, (i, time) in enumerate(moments):
            if time and not skipped[i]:
                wanted.append((k, (i, time)))
            else:
                result[k] = frames_TCHW[i + (time > Fraction(1, 2))]
        fill = self._fill_at_once if self.any_time else self._fill_by_halves
        fill(result, frames_TCHW, wanted)
        return result

    def _fill_at_once(self, result: Tensor, frames_TCHW: Tensor, wanted: list[tuple[int, Moment]]) -> None:
        """Make the wanted frames of the result, each at a time of its own."""
        for start in range(0, len(wanted), self.batch_pairs):
            batch = wanted[start : start + self.batch_pairs]
            first = [i for _, (i, _) in batch]
            times = torch.tensor([float(time) for _, (_, time) in batch], device=frames_TCHW.device)
            made = self.backbone(frames_TCHW[first], frames_TCHW[[i + 1 for i in first]], times)
            result[[k for k, _ in batch]] = made.to(result.dtype)

    def _fill_by_halves(self, result: Tensor, frames_TCHW: Tensor, wanted: list[tuple[int, Moment]]) -> None:
        """Make the wanted frames of the result; pairs that are asked for the same times go together."""
        number = {moment: k for k, moment in wanted}
        by_pair: dict[int, list[Fraction]] = {}
        for _, (i, time) in wanted:
            by_pair.setdefault(i, []).append(time)
        for batch in batches(list(by_pair.items()), self.batch_pairs):
            first, times = [i for i, _ in batch], batch[0][1]
            made = self._at_times(frames_TCHW[first], frames_TCHW[[i + 1 for i in first]], times)
            for time, frames in zip(times, made, strict=True):
                result[[number[i, time] for i in first]] = frames.to(result.dtype)

    def _at_times(self, img0: Tensor, img1: Tensor, times: list[Fraction]) -> list[Tensor]:
        """For each time the frames of all pairs (N, 3, H, W)."""
        if self.any_time:
            return [self.backbone(img0, img1, float(time)) for time in times]
        known = {Fraction(0): img0, Fraction(1): img1}

        def at(time: Fraction) -> Tensor:
            if time not in known:  # halfway between two times of fewer halvings
                half = Fraction(1, time.denominator)
                known[time] = self.backbone(at(time - half), at(time + half))
            return known[time]

        return [at(time) for time in times]

    def loss(self, lq: Tensor, hq: Tensor, record: list | None = None) -> dict[str, Tensor]:
        """The loss over the frames between the given ones.

        Args:
            lq: given frames (B, T, 3, H, W).
            hq: clean frames (B, (T - 1) * k + 1, 3, H, W) over the same time, every k-th of them at a given one's.
            record: unused.

        Raises:
            ConfigError: frames that do not lie between the given ones.
        """
        b, t = lq.shape[:2]
        step = steps_between(t, hq.shape[1])
        times = [Fraction(j, step) for j in range(1, step)]
        if hq.shape[-2:] != lq.shape[-2:] or (not self.any_time and step & (step - 1)):
            raise ConfigError(
                f"{type(self.backbone).__name__} makes no frames {tuple(hq.shape)} of {tuple(lq.shape)}: the sizes "
                f"must be equal"
                + ("" if self.any_time else ", and the frame rate a power of two times the given one's")
            )
        frames = self._at_times(lq[:, :-1].flatten(0, 1), lq[:, 1:].flatten(0, 1), times)
        made = [x.unflatten(0, (b, t - 1)) for x in frames]
        clean = [hq[:, j : (t - 1) * step : step] for j in range(1, step)]
        return {"loss_pixel": self.pixel_loss(torch.cat(made, 1), torch.cat(clean, 1))}


def steps_between(given: int, clean: int) -> int:
    """How many clean frames it is from one given frame to the next, at least 2.

    Raises:
        ConfigError: the clean frames do not run from the first to the last given one with frames between them.
    """
    if given >= 2 and clean > given and (clean - 1) % (given - 1) == 0:
        return (clean - 1) // (given - 1)
    raise ConfigError(
        f"training on frames between frames needs clips of T >= 2 given frames and (T - 1) * k + 1 clean ones with "
        f"k >= 2, from the first given frame to the last; got {given} given and {clean} clean frames"
    )
