"""ClipDataset: training pairs cut from video files and folders of frames."""

from __future__ import annotations

import fnmatch
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vrestore.data.cache import GIB, build_cache
from vrestore.data.clips import Clip, DamagedClipWarning, open_clips, some
from vrestore.data.sizes import fits, least_side, round_down, two_sides, whole_seed
from vrestore.data.transforms import CenterCrop, ClipTransform, RandomCrop, RandomFlip, RandomReverse, RandomTranspose
from vrestore.degradations import deferred
from vrestore.degradations.base import Record
from vrestore.degradations.deferred import Deferred
from vrestore.degradations.resize import imresize
from vrestore.errors import ConfigError, DataError, MediaError, VRestoreError
from vrestore.registry import DATASETS, DEGRADATIONS, TRANSFORMS
from vrestore.video import archive

CROPS = {"random": RandomCrop, "centre": CenterCrop}
WEIGHTINGS = ("clips", "frames", "pixels")
DEGRADE_ON = ("worker", "device")
TRIES = 10  # clips drawn for one sample before giving up on damaged ones


@DATASETS.register_module()
class ClipDataset(Dataset):
    """Random windows of clean clips, each with its degraded partner.

    `dataset[draw_index]` is a pure function of `seed` and `draw_index`, for any index >= 0: neither workers nor
    processes nor the cache change a byte of it. Read it with the `StreamSampler`, which yields indices without end.

    Args:
        roots: folders that hold video files and frame folders at any depth, single clips, or WebDataset shards: tar
            files, patterns of them (``train-{000000..000041}.tar``), or a folder of them (see `data/shards.py`).
        degradation: config of DEGRADATIONS that makes the degraded clip.
        frames: frames of a window.
        crop_px: side of the clean crop, or (height, width), a multiple of the degradation's scale; None takes the whole
            frame, cropped at the right and bottom to such a multiple (clips of unlike sizes then need batch_size=1).
        seed: seed of everything that is drawn.
        flip: mirror left-right and top-bottom, each by chance.
        transpose: swap height and width by chance; needs a square crop.
        time_reverse: play backwards by chance.
        frame_stride: least and most step between the frames of a window, drawn uniformly.
        fps: frame rate that clips are brought to by skipping frames: the step is multiplied by the clip's own rate over
            this one, rounded, at least 1. None, and a clip without a rate, takes every frame.
        crop: where the crop lies: ``random``, or ``centre``.
        shrink: least and most factor by which a crop is cut larger and then shrunk, drawn uniformly, at most what the
            clip has room for. Shrunk clips are sharper to the pixel, as footage for benchmarks is; needs `crop_px`.
        captions: take the text file of a clip's name beside it (``reef.mp4``, ``reef.txt``), or the caption that its
            shard holds, as its `prompt`.
        weighting: clips are drawn alike (`clips`), by their `frames`, or by their `pixels` (frames x height x width).
        weights: multiplies the weight of the clips whose name matches a glob pattern: `{'toy_*': 2.0}`.
        include, exclude: glob patterns on the clips' names (paths relative to their root).
        names: text file with the names of the clips to take, one a line, as published sets bring them.
        too_small: what to do with clips shorter than the window or smaller than the crop: `error`, or `skip` with a
            warning.
        degrade_on: `worker` degrades clips where they are loaded, on the CPU; `device` leaves it to the model, whose
            data preprocessor degrades the batch on the model's device: the same draws and records, the same pixels up
            to rounding. For degradations without real codecs, which work on the CPU wherever they are asked.
        cache: keep decoded clips in `ram` (decoded at construction) or on `disk` (decoded at first use), or None.
        cache_bytes: most bytes of decoded clips kept; what does not fit is decoded for every sample.
        cache_dir: folder of the disk cache; None is the user's cache folder.
        index: file that keeps frames, size, rate and scene cuts of every clip (see `ClipIndex`), made at the first use:
            later ones open no clip that has not changed. Windows then never cross a cut.
        transforms: further TRANSFORMS, run on the clean float crop before it is degraded: `transform(sample, rng)`.
        progress: show a progress bar while opening many clips and decoding ahead.

    A sample is dict(lq float32 (T, 3, h, w), hq float32 (T, 3, H, W), both in [0, 1], record, clip): the degradation's
    record with two entries more: `source`, which holds where the window was cut and how it was turned, and `seed`, for
    what a model draws of its own for this sample. `UnsharpMask(keep=True)` among the transforms adds `hq_unsharpened`.
    Windows that cannot be decoded are drawn anew; then `source` has `damaged`, the clips they were of:
    ``[[name, reason], …]``. With `degrade_on="device"` a sample has `deferred` in place of `lq` and `record`;
    `clip_collate` and the restorers know what to do with it.

    Attributes:
        clips: what is drawn from.
        unreadable: what was found and cannot be opened: the reason by the clip's name.

    Raises:
        ConfigError: an argument out of range.
        DataError: a root without readable clips, or clips that are too short or too small.
    """

    def __init__(
        self,
        roots: str | os.PathLike | Sequence[str | os.PathLike],
        degradation: Mapping[str, Any],
        frames: int = 7,
        crop_px: int | tuple[int, int] | None = 256,
        seed: int = 0,
        flip: bool = True,
        transpose: bool = True,
        time_reverse: bool = True,
        frame_stride: tuple[int, int] = (1, 1),
        fps: float | None = None,
        crop: str = "random",
        shrink: tuple[float, float] = (1.0, 1.0),
        captions: bool = False,
        weighting: str = "frames",
        weights: Mapping[str, float] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        names: str | os.PathLike | None = None,
        too_small: str = "error",
        degrade_on: str = "worker",
        cache: str | None = None,
        cache_bytes: int = 4 * GIB,
        cache_dir: str | os.PathLike | None = None,
        index: str | os.PathLike | None = None,
        transforms: Sequence[Mapping[str, Any]] = (),
        progress: bool = True,
    ):
        self.degradation = DEGRADATIONS.build(dict(degradation))
        self.scale = getattr(self.degradation, "scale", 1)
        self.frames = _at_least_one("frames", frames)
        self.seed = whole_seed(seed, "ClipDataset")
        self.frame_stride = _stride(frame_stride)
        number = isinstance(fps, int | float) and not isinstance(fps, bool) and math.isfinite(fps)
        if fps is not None and not (number and fps > 0):
            raise ConfigError(f"ClipDataset: fps must be above 0, or None, got {fps!r}")
        if crop not in CROPS:
            raise ConfigError(f"ClipDataset: crop must be one of {', '.join(CROPS)}, got {crop!r}")
        self.fps, self.captions = fps, captions
        self.crop_px = None if crop_px is None else _fitting_crop(crop_px, self.scale)
        self.shrink = _shrink(shrink, self.crop_px)
        if weighting not in WEIGHTINGS:
            raise ConfigError(f"ClipDataset: weighting must be one of {', '.join(WEIGHTINGS)}, got {weighting!r}")
        if not isinstance(cache_bytes, int | float) or isinstance(cache_bytes, bool) or not cache_bytes >= 0:
            raise ConfigError(f"ClipDataset: cache_bytes must be a number of bytes >= 0, got {cache_bytes!r}")
        if too_small not in ("error", "skip"):
            raise ConfigError(f"ClipDataset: too_small must be 'error' or 'skip', got {too_small!r}")
        if degrade_on not in DEGRADE_ON:
            raise ConfigError(f"ClipDataset: degrade_on must be {' or '.join(DEGRADE_ON)}, got {degrade_on!r}")
        self.degrade_on = degrade_on
        if transpose and self.crop_px is not None and self.crop_px[0] != self.crop_px[1]:
            raise ConfigError(f"ClipDataset: transpose=True needs a square crop, got crop_px={crop_px!r}")

        clips, self.unreadable = open_clips(roots, include, exclude, progress, names, index)
        self.clips = self._large_enough(clips, too_small)
        self._weights = _clip_weights(self.clips, weighting, weights or {})
        self._cumulative = np.cumsum(self._weights)
        self._crop = CROPS[crop]
        self._turns: list[ClipTransform] = [RandomReverse()] if time_reverse else []
        self._turns += [RandomFlip()] if flip else []
        self._turns += [RandomTranspose()] if transpose else []
        self.transforms = [TRANSFORMS.build(dict(t)) if isinstance(t, Mapping) else t for t in transforms]
        self._damaged: set[str] = set()
        self.cache = build_cache(cache, self.clips, cache_bytes, cache_dir, progress)

    def __len__(self) -> int:
        """Draws that show every frame about once; indices beyond it are as good."""
        return max(1, sum(clip.n_frames // self.frames for clip in self.clips))

    def __getitem__(self, draw_index: int) -> dict[str, Any]:
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, int(draw_index)]))
        sample = self._window(rng)
        for turn in self._turns:
            sample = turn(sample, rng)
        sample["hq"] = sample["hq"].contiguous().float().div_(255)
        for transform in self.transforms:
            sample = transform.transform(sample, rng)
        todo = Deferred(self.degradation, rng, sample["source"])
        if self.degrade_on == "device":
            pair = {"hq": sample["hq"], "clip": sample["clip"], deferred.KEY: todo}
        else:
            lq, record = self._degraded(todo, sample, draw_index)
            pair = {"lq": lq, "hq": sample["hq"], "record": record, "clip": sample["clip"]}
        if "hq_unsharpened" in sample:
            pair["hq_unsharpened"] = sample["hq_unsharpened"]
        return {**pair, "prompt": sample["prompt"]} if self.captions else pair

    @staticmethod
    def _degraded(todo: Deferred, sample: Mapping[str, Any], draw_index: int) -> tuple[Tensor, Record]:
        try:
            return todo(sample["hq"])
        except VRestoreError as error:
            raise type(error)(f"clip {sample['clip']}, draw {draw_index}: {error}") from error
        except Exception as error:
            raise DataError(
                f"clip {sample['clip']}, draw {draw_index}: its degradation failed: {type(error).__name__} {error}"
            ) from error

    def drawn_clip(self, draw_index: int) -> str:
        """The name of the clip that a draw takes first; nothing is decoded."""
        return self._draw_clip(np.random.default_rng(np.random.SeedSequence([self.seed, int(draw_index)]))).name

    def _draw_clip(self, rng: np.random.Generator) -> Clip:
        return self.clips[int(np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1], side="right"))]

    def _window(self, rng: np.random.Generator) -> dict[str, Any]:
        """A drawn window of a drawn clip, uint8, cropped; in place of a damaged one, the next draw of the generator."""
        damaged: list[list[str]] = []
        for _ in range(TRIES):
            clip = self._draw_clip(rng)
            low, high = (step * self._skip(clip) for step in self.frame_stride)
            if self.frames > 1:
                high = min(high, (_longest(clip) - 1) // (self.frames - 1))
            stride = int(rng.integers(low // self._skip(clip), high // self._skip(clip) + 1)) * self._skip(clip)
            start = _start(clip, (self.frames - 1) * stride + 1, rng)
            try:
                hq = self.cache.window(clip, start, self.frames, stride)
            except MediaError as error:
                self._tell_damaged(clip, error)
                damaged.append([clip.name, str(error)])
                continue
            source = {"start_frame": start, "frame_stride": stride} | ({"damaged": damaged} if damaged else {})
            sample = {"hq": hq, "clip": clip.name, "source": source}
            if self.captions:
                sample["prompt"] = caption_of(clip)
            if self.crop_px is not None:
                return self._cut(sample, rng)
            height, width = (round_down(side, self.scale) for side in hq.shape[-2:])
            return {**sample, "hq": hq[..., :height, :width]}
        raise DataError(f"{TRIES} drawn windows in a row could not be decoded; damaged: {some(sorted(self._damaged))}")

    def _cut(self, sample: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        """The crop, cut larger by a drawn factor and shrunk to its size."""
        assert self.crop_px is not None
        if self.shrink == (1.0, 1.0):
            return self._crop(self.crop_px)(sample, rng)
        low, high = self.shrink
        room = min(side / crop for side, crop in zip(sample["hq"].shape[-2:], self.crop_px, strict=True))
        factor = float(rng.uniform(low, max(low, min(high, room))))
        height, width = (round(side * factor) for side in self.crop_px)
        sample = self._crop((height, width))(sample, rng)
        sample["hq"] = imresize(sample["hq"].float(), size=self.crop_px).round_().clamp_(0, 255).to(torch.uint8)
        sample["source"]["shrunk_by"] = factor
        return sample

    def _skip(self, clip: Clip) -> int:
        """Frames of a clip to one of a window at `fps`."""
        return 1 if self.fps is None or clip.fps is None else max(1, round(float(clip.fps) / self.fps))

    def _tell_damaged(self, clip: Clip, error: MediaError) -> None:
        if clip.name not in self._damaged:
            self._damaged.add(clip.name)
            warnings.warn(
                f"{clip.name} is damaged and its windows are drawn anew from other clips: {error}", DamagedClipWarning
            )

    def _large_enough(self, clips: list[Clip], too_small: str) -> list[Clip]:
        span = {clip: (self.frames - 1) * self.frame_stride[0] * self._skip(clip) + 1 for clip in clips}
        least = [math.ceil(side * self.shrink[0]) for side in self.crop_px or (least_side(self.scale),) * 2]
        bad = {
            clip: f"{clip.name} ({_longest(clip)} frames of {clip.width}x{clip.height})"
            for clip in clips
            if _longest(clip) < span[clip] or clip.height < least[0] or clip.width < least[1]
        }
        kept = [clip for clip in clips if clip not in bad]
        if bad:
            message = (
                f"{len(bad)} of {len(clips)} clips are smaller than a window of {max(span.values())} frames of "
                f"{least[1]}x{least[0]} pixels: {some(bad.values())}"
            )
            if too_small == "error" or not kept:
                raise DataError(
                    f"{message}; take fewer frames or a smaller crop_px, or leave them out (too_small='skip')"
                )
            warnings.warn(f"{message}; they are left out")
        return kept


def _longest(clip: Clip) -> int:
    """Frames of the clip's longest scene."""
    return max(length for _, length in clip.scenes)


def _start(clip: Clip, span: int, rng: np.random.Generator) -> int:
    """First frame of a window of `span` frames within one scene; every such frame is as likely."""
    rooms = [(first, length - span + 1) for first, length in clip.scenes if length >= span]
    place = int(rng.integers(sum(room for _, room in rooms)))
    for first, room in rooms:
        if place < room:
            return first + place
        place -= room
    raise AssertionError("the place lies in one of the scenes")


def _clip_weights(clips: Sequence[Clip], weighting: str, weights: Mapping[str, float]) -> np.ndarray:
    area = {"clips": lambda c: 1.0, "frames": lambda c: c.n_frames, "pixels": lambda c: c.nbytes / 3}[weighting]
    result = np.array([float(area(clip)) for clip in clips])
    for pattern, factor in weights.items():
        hit = [fnmatch.fnmatch(clip.name, pattern) for clip in clips]
        if not any(hit):
            raise ConfigError(
                f"ClipDataset: weights[{pattern!r}] matches no clip; there are {some(c.name for c in clips)}"
            )
        if not factor >= 0:
            raise ConfigError(f"ClipDataset: weights[{pattern!r}] must be >= 0, got {factor!r}")
        result[hit] *= factor
    if not result.sum() > 0:
        raise ConfigError("ClipDataset: every clip has the weight 0")
    return result


def caption_of(clip: Clip) -> str | None:
    """The text beside a clip, or told in its shard; None where there is none."""
    if clip.caption is not None:
        return clip.caption
    is_file = archive.is_file(clip.path)
    file = clip.path.with_suffix(".txt") if is_file else clip.path.with_name(f"{clip.path.name}.txt")
    if not archive.is_file(file):
        return None
    with archive.open_file(file) as opened:
        return opened.read().decode("utf-8").strip()


def _fitting_crop(crop_px: int | tuple[int, int], scale: float) -> tuple[int, int]:
    size = two_sides(crop_px, "ClipDataset: crop_px")
    for side in size:
        if not fits(side, scale):
            near = round_down(side, scale)
            hint = f"; the next smaller one is {near}" if near else ""
            raise ConfigError(f"ClipDataset: crop_px={crop_px!r} is no multiple of the scale {scale:g}{hint}")
    return size


def _shrink(value: tuple[float, float], crop_px: tuple[int, int] | None) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(v, (int, float)) for v in pair) or not 1 <= pair[0] <= pair[1] < math.inf:
        raise ConfigError(f"ClipDataset: shrink must be (least, most), factors >= 1, got {value!r}")
    if crop_px is None and pair != (1, 1):
        raise ConfigError(f"ClipDataset: shrink={value!r} needs crop_px, the size that it shrinks to")
    return float(pair[0]), float(pair[1])


def _at_least_one(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"ClipDataset: {name} must be a whole number >= 1, got {value!r}")
    return value


def _stride(value: tuple[int, int]) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(v, int) or v < 1 for v in pair) or pair[0] > pair[1]:
        raise ConfigError(f"ClipDataset: frame_stride must be (least, most), whole numbers >= 1, got {value!r}")
    return pair
