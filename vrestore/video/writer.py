"""VideoWriter: RGB frames to a video file or a folder of PNG files, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vrestore.errors import MediaError
from vrestore.video.colour import ColourTags
from vrestore.video.encode import FileEncoder, FolderEncoder, open_encoder, tick_for
from vrestore.video.folder import IMAGE_SUFFIXES
from vrestore.video.formats import Encoding, codec_for, is_folder_target, plan_encoding
from vrestore.video.media import media_errors
from vrestore.video.pixels import layout_of

BT709 = ColourTags("bt709", "limited", "bt709", "bt709")  # what RGB of unknown origin is written as


class VideoWriter:
    """Writes frames under a temporary name beside `path` and moves them into place on leaving the `with` block.

    When the block is left by an exception nothing stays behind, and what was at `path` before is untouched.

    Args:
        path: a file ending in .mp4, .m4v, .mov, .mkv (H.264 unless told otherwise), or a name without a suffix for a
            folder of PNG files. FFV1 and PNG are lossless: RGB of up to 16 bits comes back bit for bit.
        fps: nominal frames a second; gives the times of frames that are written without.
        codec: ``h264``, ``h265``, ``ffv1`` or ``png``.
        crf, preset, pix_fmt: see `formats.plan_encoding`.
        bit_depth: bits a sample to keep where `pix_fmt` does not say it.
        colour: matrix, range, primaries and transfer to write and to tag; None writes BT.709, limited range. RGB
            formats are full range always.
        time_base: seconds a tick for the timestamps of a file; None takes one in which frames of `fps` are exact.
        sample_aspect_ratio: width : height of a pixel, for files.
        sound_from: a file whose sound is copied into a file that can hold it.
        sound_shift: seconds to subtract from the times of that sound.
        end_time: seconds at which the last frame ends; None shows it for as long as the one before.
        overwrite: replace what is at `path`.
        check: called with the temporary path when all is written; what it raises keeps the output from its place.

    Attributes:
        warnings: sentences on choices that a person may not expect.
        tags: colour tags that a file is given; known from the first frame on, None for a folder.

    Raises:
        MediaError: the output cannot be made as asked; says what would work.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Fraction | float = Fraction(25),
        codec: str | None = None,
        crf: float | None = None,
        preset: str | None = None,
        pix_fmt: str | None = None,
        bit_depth: int = 8,
        colour: ColourTags | None = None,
        time_base: Fraction | None = None,
        sample_aspect_ratio: Fraction = Fraction(1),
        sound_from: str | Path | None = None,
        sound_shift: Fraction = Fraction(0),
        end_time: Fraction | None = None,
        overwrite: bool = False,
        check: Callable[[Path], None] | None = None,
    ):
        self.path = Path(path)
        self._fps = Fraction(fps).limit_denominator(10**6)
        if self._fps <= 0:
            raise MediaError(f"fps must be above 0, got {fps}")
        self._choice: dict[str, Any] = {
            "codec": codec,
            "crf": crf,
            "preset": preset,
            "pix_fmt": pix_fmt,
            "bit_depth": bit_depth,
        }
        self._colour = colour or BT709
        self._time_base = time_base
        self._aspect = sample_aspect_ratio
        self._sound_from = None if sound_from is None else Path(sound_from)
        self._sound_shift = sound_shift
        self._overwrite = overwrite
        self._end_time = end_time
        self.check = check
        codec_for(self.path, codec)
        plan_encoding(self.path, 128, 128, **self._choice)  # a wrong option fails here, before the first frame
        check_target(self.path, overwrite)
        self._encoder: FileEncoder | FolderEncoder | None = None
        self._encoding: Encoding | None = None
        self._temporary = self._temporary_path()
        self._held: tuple[Tensor, Fraction] | None = None  # waits for the next one, which tells how long it is shown
        self._last_step = 1 / self._fps
        self._last_tick: int | None = None
        self._frames = 0
        self.warnings: list[str] = []
        self.tags: ColourTags | None = None

    @property
    def frames_written(self) -> int:
        return self._frames

    @property
    def encoding(self) -> Encoding | None:
        """What the frames are encoded with; known from the first frame on."""
        return self._encoding

    @property
    def sound_streams(self) -> int:
        return self._encoder.sound_streams if self._encoder else 0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException:
            self._discard()
            raise

    def write(self, frames_TCHW: Tensor, times: Sequence[Fraction] | None = None) -> None:
        """Append frames.

        Args:
            frames_TCHW: (T, 3, H, W) RGB, floating point in [0, 1] (clamped, then rounded), or uint8.
            times: seconds, one a frame, strictly increasing over all calls; None spaces them by `fps`.

        Raises:
            MediaError: a wrong shape, a size that differs from the first frame's, values that are no numbers, times
                that do not increase, or an encoder that fails.
        """
        frames = _checked_frames(frames_TCHW, self._frames)
        if times is None:
            times = [(self._frames + i) / self._fps for i in range(len(frames))]
        if len(times) != len(frames):
            raise MediaError(f"{len(frames)} frames came with {len(times)} times; give one a frame")
        if self._encoder is None:
            self._start(frames.shape[3], frames.shape[2])
        size = frames.shape[3], frames.shape[2]
        if size != self._size:
            raise MediaError(
                f"frame {self._frames} is {size[0]}x{size[1]} (width x height) but the video has "
                f"{self._size[0]}x{self._size[1]}; all frames must have one size"
            )
        for frame, time in zip(frames, times, strict=True):
            self._append(frame, Fraction(time))

    def _start(self, width: int, height: int) -> None:
        self._size = width, height
        self._encoding = plan_encoding(self.path, width, height, **self._choice)
        self.warnings += self._encoding.reasons
        rgb = layout_of(self._encoding.pix_fmt).kind == "rgb"
        tags = replace(self._colour, matrix="rgb", range="full") if rgb else self._colour
        if not rgb and tags.matrix in (None, "rgb"):
            tags = replace(tags, matrix="bt709", range="limited" if tags.matrix == "rgb" else tags.range)
        tags = replace(tags, range=tags.range or "limited")
        self.tags = None if self._encoding.codec == "png" else tags
        self._tick = self._time_base or tick_for(self._fps)
        if self._encoding.codec == "png":
            with media_errors(self.path, "cannot be written"):
                self._temporary.mkdir()
            if self._sound_from is not None:
                self.warnings.append("the sound is left out: a folder of PNG files cannot hold it")
        self._encoder = open_encoder(
            self._temporary,
            self._encoding,
            width,
            height,
            fps=self._fps,
            time_base=self._tick,
            tags=tags,
            sample_aspect_ratio=self._aspect,
            sound_from=self._sound_from,
            sound_shift=self._sound_shift,
        )
        self.warnings += self._encoder.dropped

    def _append(self, frame: Tensor, time: Fraction) -> None:
        tick = round(time / self._tick)
        if self._last_tick is not None and tick <= self._last_tick:
            raise MediaError(
                f"frame {self._frames} comes at {float(time):.6f} s, which is not after the frame before it; times "
                f"must increase"
            )
        self._last_tick = tick
        if self._held is not None:
            self._last_step = time - self._held[1]
            self._encode(*self._held)
        self._held = frame, time
        self._frames += 1

    def _encode(self, frame: Tensor, time: Fraction) -> None:
        assert self._encoder is not None
        with media_errors(self.path, "cannot be written"):
            self._encoder.encode(frame, time, self._last_step)

    def _finish(self) -> None:
        if self._encoder is None or self._held is None:
            raise MediaError(f"'{self.path}' is not written: no frame came")
        if self._end_time is not None and self._end_time > self._held[1]:
            self._last_step = self._end_time - self._held[1]
        self._encode(*self._held)
        with media_errors(self.path, "cannot be written"):
            self._encoder.finish()
        self.warnings += [sentence for sentence in self._encoder.dropped if sentence not in self.warnings]
        if self.check is not None:
            self.check(self._temporary)
        with media_errors(self.path, "cannot be put into its place"):
            move_into_place(self._temporary, self.path, self._overwrite)

    def _discard(self) -> None:
        if self._encoder is not None:
            self._encoder.abandon()
        if self._temporary.is_dir():
            shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            self._temporary.unlink(missing_ok=True)

    def _temporary_path(self) -> Path:
        # The suffix stays at the end: it tells FFmpeg the container. The same folder makes the move atomic.
        parent = Path(os.path.abspath(self.path)).parent
        return parent / f".{self.path.stem[:80]}.{secrets.token_hex(4)}.partial{self.path.suffix}"


def check_target(path: Path, overwrite: bool) -> None:
    """Refuse an output path that cannot be written or that would cost something.

    Raises:
        MediaError: it exists and may not be overwritten, its folder is missing or not writable, or a folder in its
            place holds more than frames.
    """
    parent = Path(os.path.abspath(path)).parent
    if not parent.is_dir():
        raise MediaError(f"'{path}' cannot be written: the folder '{parent}' does not exist")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise MediaError(f"'{path}' cannot be written: no permission to write into '{parent}'")
    if not path.exists():
        return
    if path.is_dir():
        strangers = [p.name for p in path.iterdir() if p.suffix.lower() not in IMAGE_SUFFIXES or p.is_dir()]
        if strangers:
            raise MediaError(
                f"the folder '{path}' is not overwritten: it holds more than frames ('{sorted(strangers)[0]}')"
            )
        if any(path.iterdir()) and not overwrite:
            raise MediaError(f"the folder '{path}' holds frames already; choose another name or allow overwriting")
    elif is_folder_target(path):
        raise MediaError(f"'{path}' is a file, so no folder of frames can be made there; choose another name")
    elif not overwrite:
        raise MediaError(f"'{path}' exists already; choose another name or allow overwriting")


def move_into_place(temporary: Path, path: Path, overwrite: bool) -> None:
    """Rename a finished output; a folder of frames in its place is put aside first and removed afterwards."""
    check_target(path, overwrite)  # it may have come into being meanwhile
    if not temporary.is_dir() or not path.is_dir():
        os.replace(temporary, path)
        return
    aside = temporary.with_name(temporary.name + ".old")
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except OSError:
        os.rename(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _checked_frames(frames: Tensor, number: int) -> Tensor:
    if not isinstance(frames, Tensor) or frames.ndim != 4 or frames.shape[1] != 3 or 0 in frames.shape:
        what = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise MediaError(f"frames to write must have the shape (T, 3, H, W) with 3 RGB channels, got {what}")
    if frames.dtype == torch.uint8:
        return frames.cpu().float().div_(255)
    if not frames.is_floating_point():
        raise MediaError(f"frames to write must be floating point in [0, 1] or uint8, got {frames.dtype}")
    finite = torch.isfinite(frames).flatten(1).all(1)
    if not finite.all():
        bad = number + int((~finite).nonzero()[0])
        raise MediaError(f"frame {bad} holds values that are no numbers (NaN or infinite), so it is not written")
    return frames.detach().cpu().float()
