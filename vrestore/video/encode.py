"""Encoding: RGB frames into a media file or into a folder of PNG files."""

from __future__ import annotations

import math
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags
from av.video.stream import VideoStream
from torch import Tensor

from vrestore.video import colour
from vrestore.video.colour import ColourTags
from vrestore.video.formats import ENCODERS, Encoding
from vrestore.video.media import media_errors, reason
from vrestore.video.pixels import frame_of, layout_of
from vrestore.video.sound import SoundCopy

_LEAST_TICKS = 90000  # a second, so that uneven frame times are kept to about ten microseconds
_MOST_DELAY_SECONDS = 10**5  # between decoding and showing; more is no delay but an accident


def tick_for(fps: Fraction) -> Fraction:
    """A time base in which frames of `fps` fall on whole ticks, fine enough for frames in between."""
    fps = fps.limit_denominator(10**6)
    return Fraction(1, fps.numerator * math.ceil(_LEAST_TICKS / fps.numerator))


class FileEncoder:
    """Frames into one media file.

    Args:
        path: file to make; its suffix names the container.
        encoding: from `formats.plan_encoding`.
        width, height: of the frames in pixels.
        fps: nominal frames a second.
        time_base: seconds a tick; every frame time is rounded to it.
        tags: colours to convert to and to tag, matrix and range resolved.
        sample_aspect_ratio: width : height of a pixel.
        sound_from: file whose sound is copied.
        sound_shift: seconds to subtract from the times of the sound.

    Attributes:
        dropped: sentences on sound that cannot be kept.
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        width: int,
        height: int,
        *,
        fps: Fraction,
        time_base: Fraction,
        tags: ColourTags,
        sample_aspect_ratio: Fraction = Fraction(1),
        sound_from: Path | None = None,
        sound_shift: Fraction = Fraction(0),
    ):
        self._path = path
        self._layout = layout_of(encoding.pix_fmt)
        self._tags = tags
        self._time_base = time_base
        self._size = width, height
        self._sound: SoundCopy | None = None
        self.dropped: list[str] = []
        options = {"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".m4v", ".mov") else {}
        self._container = av.open(f"file:{path}", "w", container_options=options)
        try:
            name: Any = ENCODERS[encoding.codec]
            self._stream: VideoStream = self._container.add_stream(name, rate=fps, options=dict(encoding.options))
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = encoding.pix_fmt
            self._stream.time_base = time_base
            context = self._stream.codec_context
            context.time_base = time_base
            context.flags |= Flags.frame_duration  # else how long the last frame is shown gets lost
            context.sample_aspect_ratio = sample_aspect_ratio.limit_denominator(255)
            context.colorspace, context.color_range, context.color_primaries, context.color_trc = colour.codes_of(tags)
            if encoding.codec == "h265" and path.suffix.lower() in (".mp4", ".m4v", ".mov"):
                context.codec_tag = "hvc1"  # what Apple's players ask for
            if sound_from is not None:
                self._sound = SoundCopy(sound_from, self._container, sound_shift)
                self.dropped = self._sound.dropped
            self._container.start_encoding()  # writes the header, which is where a container refuses
        except BaseException:
            self.abandon()
            raise

    @property
    def sound_streams(self) -> int:
        return self._sound.streams if self._sound else 0

    def encode(self, rgb_CHW: Tensor, time: Fraction, duration: Fraction) -> None:
        """One frame at `time`, shown for `duration`, in seconds."""
        planes = colour.from_rgb(rgb_CHW, self._layout, self._tags)
        frame = frame_of(planes, self._layout.name, *self._size)
        frame.time_base = self._time_base
        frame.pts = round(time / self._time_base)
        frame.duration = max(round(duration / self._time_base), 1)
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = colour.codes_of(self._tags)
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is still in the encoder and the rest of the sound, and close the file."""
        self._mux(self._stream.encode())
        if self._sound:
            self._sound.copy_until(None)
            self._sound.close()
        self._container.close()

    def abandon(self) -> None:
        """Close without minding what is missing; the file is of no use afterwards."""
        if self._sound:
            self._sound.close()
        with suppress(av.FFmpegError, ValueError, OSError):
            self._container.close()

    def _mux(self, packets: list) -> None:
        for packet in packets:
            # x265 reads the delay of its first packets from memory that clips of one or two frames never set.
            if packet.dts > packet.pts or (packet.pts - packet.dts) * packet.time_base > _MOST_DELAY_SECONDS:
                packet.dts = packet.pts
            now = packet.dts * packet.time_base
            self._container.mux(packet)
            if self._sound:
                self._sound.copy_until(now)


class FolderEncoder:
    """Frames into a folder of PNG files: 00000000.png, 00000001.png, …

    Args:
        path: an empty folder.
        encoding: from `formats.plan_encoding`; ``rgb24`` or ``rgb48be``.
        width, height: of the frames in pixels.
    """

    sound_streams = 0

    def __init__(self, path: Path, encoding: Encoding, width: int, height: int):
        self.dropped: list[str] = []
        self._path = path
        self._size = width, height
        self._layout = layout_of(encoding.pix_fmt)
        self._options = dict(encoding.options)
        self._written = 0

    def encode(self, rgb_CHW: Tensor, time: Fraction, duration: Fraction) -> None:
        """One frame; a folder keeps no times."""
        tags = ColourTags("rgb", "full")
        planes = colour.from_rgb(rgb_CHW, self._layout, tags)
        frame = frame_of(planes, self._layout.name, *self._size)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        context = av.CodecContext.create("png", "w")
        context.width, context.height = self._size
        context.pix_fmt, context.time_base, context.options = self._layout.name, Fraction(1, 25), self._options
        data = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
        (self._path / f"{self._written:08d}.png").write_bytes(data)
        self._written += 1

    def finish(self) -> None:
        """Every frame is written when it comes: nothing is left to do."""

    def abandon(self) -> None:
        """Nothing is open."""


def open_encoder(
    path: Path, encoding: Encoding, width: int, height: int, *, sound_from: Path | None = None, **file_options
) -> FileEncoder | FolderEncoder:
    """The encoder for a path. Sound that the container refuses is left out, and said so in `dropped`.

    Args:
        path, encoding, width, height, sound_from: as `FileEncoder`.
        file_options: the other arguments of `FileEncoder`; a folder needs none of them.

    Raises:
        MediaError: the encoder or the container refuses the frames.
    """
    if encoding.codec == "png":
        return FolderEncoder(path, encoding, width, height)
    with media_errors(path, f"cannot be written as {encoding.codec} ({encoding.pix_fmt}, {width}x{height})"):
        if sound_from is None:
            return FileEncoder(path, encoding, width, height, **file_options)
        try:
            return FileEncoder(path, encoding, width, height, sound_from=sound_from, **file_options)
        except (av.FFmpegError, ValueError) as error:
            encoder = FileEncoder(path, encoding, width, height, **file_options)
            encoder.dropped.append(f"the sound is left out: it cannot be written to {path.suffix} ({reason(error)})")
            return encoder
