"""Reading: files and folders of frames as RGB tensors, in blocks or by number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from vrestore.errors import MediaError
from vrestore.video import archive, colour
from vrestore.video.decode import Decoding
from vrestore.video.folder import FrameFolder
from vrestore.video.index import Clock, FrameIndex, build_index
from vrestore.video.orientation import UPRIGHT
from vrestore.video.pixels import samples_of
from vrestore.video.probe import VideoInfo, probe

DTYPES = ("float32", "uint8")


@dataclass(frozen=True)
class FrameBlock:
    """A run of frames.

    Attributes:
        frames: (T, 3, H, W) RGB, float32 in [0, 1], or uint8 (rounded) where that was asked.
        times: seconds from the start of the file, one a frame, strictly increasing.
        start: number of the first frame, from 0.
    """

    frames: Tensor
    times: list[Fraction]
    start: int

    def __len__(self) -> int:
        return len(self.frames)


class VideoReader:
    """Frames of a video file or of a folder of images, upright, as RGB by the stream's own matrix and range.

    Args:
        path: a file in any format FFmpeg reads, or a folder of images.
        dtype: ``float32`` in [0, 1], or ``uint8`` (rounded).
        fps: frames a second of a folder, which has no clock of its own; 25 where not given. Files keep theirs.
        threads: decoder threads, see `Decoding`.

    Attributes:
        info: what `probe` finds.
        frame_step: nominal seconds from frame to frame.

    Raises:
        MediaError: as `probe`; reading raises it where a frame cannot be had.
    """

    def __init__(
        self, path: str | Path, *, dtype: str = "float32", fps: Fraction | int | None = None, threads: int = 1
    ):
        if dtype not in DTYPES:
            raise MediaError(f"frames are read as {' or '.join(DTYPES)}, not {dtype!r}")
        self.path = Path(path)
        self.info: VideoInfo = _look_up(self.path)[0]
        self._dtype = dtype
        self._threads = threads
        self.frame_step = 1 / Fraction(fps) if fps and self.info.kind == "folder" else self.info.frame_step
        self._folder = FrameFolder(self.path) if self.info.kind == "folder" else None
        self._warnings = list(self.info.warnings)
        self._decoding: Decoding | None = None
        self._running: Iterator[av.VideoFrame] = iter(())
        self._next = -1  # number of the frame that self._running gives next

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._decoding is not None:
            self._decoding.close()
        self._decoding, self._next = None, -1

    @property
    def warnings(self) -> list[str]:
        """Sentences on what is wrong with the file, as far as it has been read."""
        return list(self._warnings)

    @property
    def index(self) -> FrameIndex:
        """Where each frame lies; made on first use by reading through the file."""
        return _look_up(self.path)[1].get()

    @property
    def frame_count(self) -> int:
        """The exact number of frames."""
        return len(self._folder.files) if self._folder else len(self.index)

    def blocks(self, frames_per_block: int) -> Iterator[FrameBlock]:
        """All frames from first to last, `frames_per_block` at a time (the last block may be shorter).

        Memory is bounded by the block. Damage in the middle is passed over and told in `warnings` at the end.

        Raises:
            MediaError: no frame can be decoded, or the frames change their size.
        """
        if frames_per_block < 1:
            raise MediaError(f"a block needs at least one frame, got {frames_per_block}")
        if self._folder:
            count = self.frame_count
            for start in range(0, count, frames_per_block):
                yield self.read(start, min(frames_per_block, count - start))
            return
        with Decoding(self.path, self._threads) as decoding:
            clock = Clock(self.info.origin, self.info.frame_step)
            start, block = 0, self._empty(frames_per_block)
            times: list[Fraction] = []
            for number, frame in enumerate(decoding.frames()):
                self._convert(frame, number, block[len(times)])
                times.append(clock.time(frame.pts, frame.time_base))
                if len(times) == frames_per_block:
                    yield FrameBlock(block, times, start)
                    start, times, block = number + 1, [], self._empty(frames_per_block)
            if times:
                yield FrameBlock(block[: len(times)], times, start)
        self._account(decoding, clock)

    def read(self, start: int, count: int, stride: int = 1) -> FrameBlock:
        """`count` frames from frame number `start` on, every `stride`-th one; the same frames as in `blocks`.

        Seeks to the keyframe before and decodes forward, and converts to RGB what is asked for alone; goes on without a
        seek where the last call ended.

        Raises:
            MediaError: the video has no such frames.
        """
        total, last = self.frame_count, start + (count - 1) * stride
        if start < 0 or count < 1 or stride < 1 or last >= total:
            raise MediaError(f"'{self.path}' has {total} frame(s), 0 to {total - 1}; {start} to {last} were asked")
        block, numbers = self._empty(count), range(start, last + 1, stride)
        if self._folder:
            for target, number in zip(block, numbers, strict=True):
                self._convert(self._folder.decode(number)[0], number, target)
            return FrameBlock(block, [number * self.frame_step for number in numbers], start)
        if not self._fill(block, numbers):
            # The container's index does not hold what it says: count the frames themselves.
            _look_up(self.path)[1].recount()
            self.close()
            if last >= self.frame_count or not self._fill(block, numbers):
                raise MediaError(f"frames {start} to {last} of '{self.path}' cannot be decoded: the file is damaged")
        return FrameBlock(block, list(self.index.times[start : last + 1 : stride]), start)

    def _empty(self, count: int) -> Tensor:
        # NumPy asks for huge pages; a fresh tensor of PyTorch's costs more time to map than a frame to convert.
        return torch.from_numpy(np.empty((count, 3, self.info.height, self.info.width), self._dtype))

    def _fill(self, block: Tensor, numbers: range) -> bool:
        """Decode the frames of these numbers into `block`; False where they do not come as the index says."""
        index, start = self.index, numbers[0]
        if index.pts is None:
            return self._fill_by_counting(block, numbers)
        wanted = index.pts[start : numbers[-1] + 1 : numbers.step]
        nearest = bisect_right(index.keys, wanted[0])
        if self._decoding is not None and 0 <= self._next <= start:
            last_key = index.keys[nearest - 1] if nearest else None
            nothing_to_gain = last_key is None or last_key <= index.pts[self._next]
            if nothing_to_gain and self._take(block, wanted, numbers):
                return True
        for key in [*reversed(index.keys[max(nearest - 3, 0) : nearest]), None]:
            self._open(key)
            if self._take(block, wanted, numbers):
                return True
        return False

    def _take(self, block: Tensor, wanted: tuple[int, ...], numbers: range) -> bool:
        """Decode on until all frames with the wanted timestamps are in `block`."""
        taken = 0
        for frame in self._running:
            if frame.pts is None or frame.pts > wanted[taken]:
                break
            if frame.pts == wanted[taken]:
                self._convert(frame, numbers[taken], block[taken])
                taken += 1
                if taken == len(wanted):
                    self._next = numbers[-1] + 1 if numbers[-1] + 1 < len(self.index) else -1
                    return True
        self._next = -1
        return False

    def _fill_by_counting(self, block: Tensor, numbers: range) -> bool:
        if self._decoding is None or not 0 <= self._next <= numbers[0]:
            self._open(None)
            self._next = 0
        for frame in self._running:
            number, self._next = self._next, self._next + 1
            if number in numbers:
                self._convert(frame, number, block[numbers.index(number)])
                if number == numbers[-1]:
                    return True
        self._next = -1
        return False

    def _open(self, key: int | None) -> None:
        """Begin to decode anew at a keyframe, or at the start of the file."""
        if key is None or self._decoding is None:
            self.close()
            self._decoding = Decoding(self.path, self._threads)
        if key is not None:
            self._decoding.seek(key)
        self._running = self._decoding.frames()

    def _convert(self, frame: av.VideoFrame, number: int, target: Tensor) -> None:
        """Put one decoded frame, upright, into `target` (3, H, W)."""
        info = self.info
        orientation = self._folder.orientation(number) if self._folder else info.orientation
        height, width = (frame.width, frame.height) if orientation.swaps_sides else (frame.height, frame.width)
        if (height, width) != (info.height, info.width):
            raise MediaError(
                f"frame {number} of '{self.path}' is {width}x{height} (width x height) where the first one is "
                f"{info.width}x{info.height}; a clip must keep one size"
            )
        layout, planes = samples_of(frame)
        tags = info.colour
        if self._folder or frame.format.name != info.pix_fmt:  # images of a folder; formats that change on the way
            tags = colour.read_tags(frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
            tags = colour.resolve(tags, layout.kind, frame.format.name, info.codec, frame.width, frame.height)
        if orientation == UPRIGHT and self._dtype == "float32":
            colour.to_rgb(planes, layout, tags, info.siting, out=target)
            return
        rgb = orientation.apply(colour.to_rgb(planes, layout, tags, info.siting))
        if self._dtype == "uint8":  # NumPy narrows about three times as quickly as PyTorch
            np.copyto(target.numpy(), rgb.mul(255).round_().numpy(), casting="unsafe")
        else:
            target.copy_(rgb)

    def _account(self, decoding: Decoding, clock: Clock) -> None:
        """Turn what was wrong in one full pass into warnings."""
        told = []
        if decoding.damage:
            told.append(f"'{self.path}' is damaged ({decoding.damage}); what could be decoded was kept")
        if self.info.is_broadcast and not self.info.is_vfr and clock.missing:
            told.append(
                f"'{self.path}' has gaps: {clock.missing} frame(s) are missing between those that could be decoded"
            )
        self._warnings += [sentence for sentence in told if sentence not in self._warnings]


def read_clip(
    path: str | Path,
    start: int = 0,
    count: int | None = None,
    *,
    stride: int = 1,
    dtype: str = "float32",
    threads: int = 1,
) -> Tensor:
    """`count` frames of a file or folder from `start` on, every `stride`-th one; or all from there on.

    Returns:
        (T, 3, H, W) RGB: float32 in [0, 1], or uint8 (rounded).

    Raises:
        MediaError: as `VideoReader`, or the video has no such frames.
    """
    with VideoReader(path, dtype=dtype, threads=threads) as reader:
        if count is None and start == 0 and stride == 1 and reader.info.kind == "file":
            return _joined([block.frames for block in reader.blocks(16)])
        count = -(-(reader.frame_count - start) // stride) if count is None else count
        return reader.read(start, count, stride).frames


def _joined(blocks: list[Tensor]) -> Tensor:
    if not blocks:
        raise MediaError("no frame can be decoded: the file is cut off or damaged")
    first = blocks[0].numpy()
    out = torch.from_numpy(np.empty((sum(map(len, blocks)), *first.shape[1:]), first.dtype))
    position = 0
    for i, block in enumerate(blocks):
        out[position : position + len(block)] = block
        position += len(block)
        blocks[i] = None  # type: ignore[call-overload]  # so that the whole clip is not held twice
    return out


class _LazyIndex:
    """The index of one file, made when it is asked for and shared by all readers of the file."""

    def __init__(self, path: Path, info: VideoInfo):
        self._path, self._info = path.absolute(), info
        self._index: FrameIndex | None = None

    def get(self) -> FrameIndex:
        if self._index is None:
            self._index = build_index(self._path, self._info.origin, self._info.frame_step)
        return self._index

    def recount(self) -> None:
        if not self.get().decoded:
            self._index = build_index(self._path, self._info.origin, self._info.frame_step, by_decoding=True)


def _look_up(path: Path) -> tuple[VideoInfo, _LazyIndex]:
    """Info and index of a file or folder, kept for as long as it does not change."""
    try:
        mark = archive.mark_of(path)
    except OSError:
        probe(path)  # says what is wrong
        raise
    return _look_up_unchanged(path, *mark)


@lru_cache(maxsize=512)
def _look_up_unchanged(path: Path, *_: int) -> tuple[VideoInfo, _LazyIndex]:
    info = probe(path)
    return info, _LazyIndex(path, info)
