"""ClipBenchmark: whole clips with their clean partners, alike for every layout on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from vrestore.data.clips import Clip
from vrestore.data.sizes import fits, least_side, round_down, two_sides, whole_seed
from vrestore.degradations.base import Degradation, Record
from vrestore.errors import ConfigError, DataError
from vrestore.registry import DEGRADATIONS

REAL = "real"  # the degradation of clips that came degraded, without a clean partner
BICUBIC_X4: Mapping[str, Any] = {"type": "BicubicDown", "scale": 4}


@dataclass(frozen=True)
class Pair:
    """A clip of a benchmark: its clean frames, its degraded frames, or both.

    Attributes:
        name: the clip's name in tables.
        hq: clean clip; None where there is none.
        lq: degraded clip; None where it is made from the clean one.
    """

    name: str
    hq: Clip | None = None
    lq: Clip | None = None

    @property
    def first(self) -> Clip:
        clip = self.hq or self.lq
        assert clip is not None
        return clip


class ClipBenchmark(Dataset):
    """Clips to be restored, in full, with the clean ones to compare with where there are any.

    `benchmark[i]` is dict(clip=name, lq=float32 (T, 3, h, w), hq=float32 (T, 3, H, W) or None, record, fps=Fraction or
    None). Frames are 8 bit as decoded, in [0, 1]; clean frames are cropped at the right and bottom to a multiple of the
    scale. What a degradation draws depends on `seed` and the clip's index alone.

    Where a protocol judges one picture of a clip, `judged` in the sample names the output frames whose mean that is,
    `hq` is one frame (1, 3, H, W), and the benchmark's `frames_protocol` says so in words.

    Args:
        pairs: the clips.
        name: the benchmark's name in tables.
        degradation: config that makes the degraded clip of every pair that has none; None where all have theirs.
        degradation_name: protocol in tables; None is the degradation's own.
        scale: factor between given degraded clips and their clean partners.
        max_frames: take only the first frames of every clip.
        crop_to: take only the centre, this many pixels of the clean clip (a side, or (height, width)), a multiple of
            the scale.
        seed: seed of what degradations draw.
        time_step: clean frames for every degraded one: above 1 the clip is degraded in time too, by keeping the first
            of so many frames, and a restorer is to give `time_step` times the frames. Clean frames beyond a whole
            number of steps are left out.

    Raises:
        ConfigError: an argument out of range.
        DataError: partners of unlike length or size, or a clip smaller than `crop_to`.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        name: str,
        degradation: Mapping[str, Any] | None = None,
        degradation_name: str | None = None,
        scale: float = 4,
        max_frames: int | None = None,
        crop_to: int | tuple[int, int] | None = None,
        seed: int = 0,
        time_step: int = 1,
    ):
        self.pairs = list(pairs)
        self.name = name
        self._degradation: Degradation | None = DEGRADATIONS.build(dict(degradation)) if degradation else None
        self.scale = getattr(self._degradation, "scale", 1) if self._degradation else scale
        own_name = getattr(self._degradation, "protocol", None) or type(self._degradation).__name__
        self.degradation_name = degradation_name or (own_name if self._degradation else REAL)
        if max_frames is not None and (isinstance(max_frames, bool) or max_frames < 1):
            raise ConfigError(f"{type(self).__name__}: max_frames must be a whole number >= 1, got {max_frames!r}")
        self.max_frames = max_frames
        if not isinstance(time_step, int) or isinstance(time_step, bool) or time_step < 1:
            raise ConfigError(f"{type(self).__name__}: time_step must be a whole number >= 1, got {time_step!r}")
        self.time_step = time_step
        if time_step > 1:
            self.degradation_name += f", 1 of {time_step} frames"
        self.crop_to = self._checked_crop(crop_to)
        self.seed = whole_seed(seed, type(self).__name__)
        for pair in self.pairs:
            self._check(pair)

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def clips(self) -> list[str]:
        """The names of the clips, in order."""
        return [pair.name for pair in self.pairs]

    @property
    def metainfo(self) -> dict[str, Any]:
        """What MMEngine hands on to the evaluator and the visualiser."""
        return {"name": self.name, "degradation": self.degradation_name, "scale": self.scale}

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]  # an index beyond the end raises IndexError, which ends a plain for loop
        hq = self._frames(pair.hq)
        if pair.lq is not None:
            lq = self._frames(pair.lq)
            assert lq is not None
            hq, lq = self._crop_both(hq, lq)
            record: Record = {"name": self.degradation_name, "scale": self.scale, "given": True}
        else:
            assert hq is not None
            assert self._degradation is not None
            hq = self._crop_clean(hq)
            rng = np.random.default_rng(np.random.SeedSequence([self.seed, index % len(self)]))
            lq, record = self._degradation(hq, rng)
        return self._thinned({"clip": pair.name, "lq": lq, "hq": hq, "record": record, "fps": pair.first.fps})

    def _thinned(self, sample: dict[str, Any]) -> dict[str, Any]:
        """The sample with every `time_step`-th degraded frame, and the clean ones of whole steps."""
        if self.time_step == 1:
            return sample
        whole = len(sample["lq"]) // self.time_step * self.time_step
        sample["lq"] = sample["lq"][: whole : self.time_step].contiguous()
        sample["hq"] = None if sample["hq"] is None else sample["hq"][:whole]
        sample["fps"] = None if sample["fps"] is None else sample["fps"] / self.time_step
        return sample

    def _frames(self, clip: Clip | None) -> Tensor | None:
        if clip is None:
            return None
        return clip.read(0, min(clip.n_frames, self.max_frames or clip.n_frames)).float().div_(255)

    def _crop_clean(self, hq: Tensor) -> Tensor:
        height, width = (round_down(side, self.scale) for side in hq.shape[-2:])
        if self.crop_to is None:
            return hq[..., :height, :width].contiguous()
        h, w = self.crop_to
        top, left = (height - h) // 2, (width - w) // 2
        return hq[..., top : top + h, left : left + w].contiguous()

    def _crop_both(self, hq: Tensor | None, lq: Tensor) -> tuple[Tensor | None, Tensor]:
        height, width = lq.shape[-2:]
        top = left = 0
        if self.crop_to is not None:
            h, w = (round(side / self.scale) for side in self.crop_to)
            top, left, height, width = (height - h) // 2, (width - w) // 2, h, w
        if hq is not None:
            y, x, h, w = (round(v * self.scale) for v in (top, left, height, width))
            hq = hq[..., y : y + h, x : x + w].contiguous()
        return hq, lq[..., top : top + height, left : left + width].contiguous()

    def _checked_crop(self, crop_to: int | tuple[int, int] | None) -> tuple[int, int] | None:
        if crop_to is None:
            return None
        size = two_sides(crop_to, f"{type(self).__name__}: crop_to")
        if not all(fits(side, self.scale) for side in size):
            raise ConfigError(
                f"{type(self).__name__}: crop_to must be a multiple of the scale {self.scale:g}, got {crop_to!r}"
            )
        return size

    def _check(self, pair: Pair) -> None:
        hq, lq = pair.hq, pair.lq
        if min(pair.first.n_frames, self.max_frames or pair.first.n_frames) < self.time_step:
            raise DataError(
                f"{self.name}: clip {pair.name} has fewer than {self.time_step} frames, of which one would be kept"
            )
        if hq is not None and lq is not None:
            if hq.n_frames != lq.n_frames:
                raise DataError(
                    f"{self.name}: clip {pair.name} has {hq.n_frames} clean and {lq.n_frames} degraded frames; "
                    f"both sides need the same frames ({hq.path}, {lq.path})"
                )
            spare = (hq.height - lq.height * self.scale, hq.width - lq.width * self.scale)
            if any(not 0 <= s < self.scale for s in spare):
                raise DataError(
                    f"{self.name}: clip {pair.name} is {hq.width}x{hq.height} clean and {lq.width}x{lq.height} "
                    f"degraded (width x height), which is not a factor of {self.scale:g}"
                )
        factor = 1 if hq is not None else self.scale
        size = (pair.first.height * factor, pair.first.width * factor)
        least = self.crop_to or (least_side(self.scale),) * 2
        if size[0] < least[0] or size[1] < least[1]:
            raise DataError(
                f"{self.name}: clip {pair.name} of {pair.first.width}x{pair.first.height} pixels (width x height) is "
                f"too small for {least[1]}x{least[0]} clean pixels"
            )
