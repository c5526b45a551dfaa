"""What a video file or a folder of frames holds, without reading it all."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vrestore.errors import MediaError
from vrestore.video import archive, colour
from vrestore.video.colour import ColourTags
from vrestore.video.decode import Decoding
from vrestore.video.folder import FrameFolder
from vrestore.video.media import media_errors
from vrestore.video.orientation import UPRIGHT, Orientation, orientation_of
from vrestore.video.pixels import samples_of

FOLDER_FPS = Fraction(25)  # a folder of frames has no clock; this one is assumed where times are needed
_RATE_SAMPLE_PACKETS = 60
# Containers whose clock starts anywhere, so that their first time means nothing.
_BROADCAST_FORMATS = {"mpegts", "mpeg", "mpegvideo"}


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is read.

    Attributes:
        path: the file or folder.
        kind: ``file`` or ``folder``.
        width, height: of a frame as it is read (turned upright), in pixels.
        coded_width, coded_height: as it is stored.
        frame_count: exact number of frames, or None where only counting tells (`count_frames`).
        fps: average frames a second; None for a folder.
        is_vfr: whether the spacing of the frames varies; judged by the index of MP4, by the first 60 packets elsewhere.
        time_base: seconds a tick of the stored timestamps; None for a folder.
        start_time: seconds, first timestamp of the video stream.
        origin: seconds that are subtracted from stored timestamps: the start of the file for broadcast streams (MPEG-TS
            and MPEG-PS, whose clocks begin anywhere), 0 elsewhere.
        duration: seconds, or None.
        codec, container, pix_fmt: FFmpeg's names.
        bit_depth: bits a sample.
        tags: what the stream says of its colours.
        colour: the same with matrix and range filled in by the rule of `colour.resolve`.
        siting: position of the chroma samples.
        orientation: how frames are turned upright; `VideoReader` does it.
        sample_aspect_ratio: width : height of a pixel as shown (after turning); 1 where unknown. Pixels are never
            resampled by it.
        has_audio, has_alpha, interlaced: flags; alpha is dropped, interlaced frames are read as they are.
        warnings: sentences on what a reader of the file should know.
    """

    path: Path
    kind: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    frame_count: int | None
    fps: Fraction | None
    is_vfr: bool
    time_base: Fraction | None
    start_time: Fraction
    origin: Fraction
    duration: Fraction | None
    codec: str
    container: str
    pix_fmt: str
    bit_depth: int
    tags: ColourTags
    colour: ColourTags
    siting: str
    orientation: Orientation = UPRIGHT
    sample_aspect_ratio: Fraction = Fraction(1)
    has_audio: bool = False
    has_alpha: bool = False
    interlaced: bool = False
    warnings: tuple[str, ...] = field(default=())

    @property
    def rotation(self) -> int:
        """Clockwise degrees by which stored frames are turned."""
        return self.orientation.degrees

    @property
    def is_broadcast(self) -> bool:
        """Whether the container is made for transmission: its clock begins anywhere, and frames may be lost."""
        return _is_broadcast(self.container)

    @property
    def frame_step(self) -> Fraction:
        """Nominal seconds from frame to frame."""
        return 1 / (self.fps or FOLDER_FPS)


def probe(path: str | Path) -> VideoInfo:
    """Look into a video file or a folder of frames; decodes one frame.

    Raises:
        MediaError: missing, empty, not a video, without a video stream, damaged beyond its first frame, or a folder
            without frames or with frames of several sizes.
    """
    path = Path(path)
    return _probe_folder(path) if archive.is_folder(path) else _probe_file(path)


def count_frames(path: str | Path) -> int:
    """The exact number of frames that can be decoded: reads the whole file (a folder is only listed).

    Raises:
        MediaError: as `probe`.
    """
    path = Path(path)
    if archive.is_folder(path):
        return len(FrameFolder(path).files)
    with Decoding(path) as decoding:
        count = sum(1 for _ in decoding.frames())
    if count == 0:
        raise MediaError(f"no frame of '{path}' can be decoded: it is cut off or damaged")
    return count


def _probe_file(path: Path) -> VideoInfo:
    with Decoding(path) as decoding, media_errors(path, "cannot be read"):
        container, stream = decoding.container, decoding.stream
        spacing_varies = _spacing_varies(decoding)
        whole, shown = _indexed_frames(stream, path)
        has_audio, container_name = bool(container.streams.audio), container.format.name
        container_start = Fraction(container.start_time or 0, av.time_base)
        duration = _duration(container, stream)
        fps = _frame_rate(stream)
        time_base = Fraction(stream.time_base or Fraction(1, 90000))
        start_time = (stream.start_time or 0) * time_base
        codec = stream.codec_context.name
        aspect = Fraction(stream.sample_aspect_ratio or 1) or Fraction(1)
        alpha_in_metadata = stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1"
        declared = stream.frames
    frame = _first_frame(path)
    layout, _ = samples_of(frame)
    tags = colour.read_tags(frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
    orientation = orientation_of(frame)
    width, height = frame.width, frame.height
    warnings = []
    if whole is not None and whole < declared:
        warnings.append(f"'{path}' is cut off: the data of only {whole} of its {declared} frames are there")
    if frame.interlaced_frame:
        warnings.append(
            f"'{path}' is interlaced; its frames are read as they are, deinterlace it first for a clean result"
        )
    has_alpha = layout.has_alpha or frame.format.has_palette or alpha_in_metadata
    if orientation.ignored_degrees:
        warnings.append(
            f"'{path}' asks to be turned by {orientation.ignored_degrees:.0f} degrees, which is left undone"
        )
    return VideoInfo(
        path=path,
        kind="file",
        width=height if orientation.swaps_sides else width,
        height=width if orientation.swaps_sides else height,
        coded_width=width,
        coded_height=height,
        frame_count=shown,
        fps=fps,
        is_vfr=spacing_varies,
        time_base=time_base,
        start_time=start_time,
        origin=container_start if _is_broadcast(container_name) else Fraction(0),
        duration=duration,
        codec=codec,
        container=container_name,
        pix_fmt=frame.format.name,
        bit_depth=layout.bits,
        tags=tags,
        colour=colour.resolve(tags, layout.kind, frame.format.name, codec, width, height),
        siting=colour.siting_of(codec),
        orientation=orientation,
        sample_aspect_ratio=1 / aspect if orientation.swaps_sides else aspect,
        has_audio=has_audio,
        has_alpha=has_alpha,
        interlaced=frame.interlaced_frame,
        warnings=tuple(warnings),
    )


def _probe_folder(path: Path) -> VideoInfo:
    folder = FrameFolder(path)
    folder.check_sizes()
    frame, codec = folder.decode(0)
    layout, _ = samples_of(frame)
    tags = colour.read_tags(frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
    orientation = folder.orientation(0)
    width, height = frame.width, frame.height
    return VideoInfo(
        path=path,
        kind="folder",
        width=height if orientation.swaps_sides else width,
        height=width if orientation.swaps_sides else height,
        coded_width=width,
        coded_height=height,
        frame_count=len(folder.files),
        fps=None,
        is_vfr=False,
        time_base=None,
        start_time=Fraction(0),
        origin=Fraction(0),
        duration=None,
        codec=codec,
        container="folder",
        pix_fmt=frame.format.name,
        bit_depth=layout.bits,
        tags=tags,
        colour=colour.resolve(tags, layout.kind, frame.format.name, codec, width, height),
        siting=colour.siting_of(codec),
        orientation=orientation,
        has_alpha=layout.has_alpha,
        warnings=tuple(folder.warnings),
    )


def _is_broadcast(container_name: str) -> bool:
    return bool(_BROADCAST_FORMATS & set(container_name.split(",")))


def _first_frame(path: Path) -> av.VideoFrame:
    with Decoding(path) as decoding:
        frame = next(decoding.frames(), None)
    if frame is None:
        raise MediaError(f"no frame of '{path}' can be decoded: it is cut off or damaged")
    return frame


def _frame_rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 1000:
            return Fraction(rate)
    return FOLDER_FPS


def _duration(container: InputContainer, stream: VideoStream) -> Fraction | None:
    if stream.duration and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration, av.time_base) if container.duration else None


def _indexed_frames(stream: VideoStream, path: Path) -> tuple[int | None, int | None]:
    """(frames whose data lie in the file, those of them that are shown), where the index tells; else (None, None)."""
    entries = getattr(stream, "index_entries", None)
    if not entries or "mp4" not in stream.container.format.name or len(entries) != stream.frames:
        return None, None
    size = archive.size_of(path)
    whole = [entry for entry in entries if entry.pos + entry.size <= size]
    return len(whole), sum(not entry.is_discard for entry in whole)


def _spacing_varies(decoding: Decoding) -> bool:
    """Whether frames are unevenly spaced in time, beyond the rounding to ticks."""
    container, stream = decoding.container, decoding.stream
    entries = getattr(stream, "index_entries", None)
    if entries and "mp4" in container.format.name and len(entries) == stream.frames:
        ticks = sorted(entry.timestamp for entry in entries)
    else:
        ticks = []
        for packet in decoding.packets():
            if packet.pts is not None:
                ticks.append(packet.pts)
            if len(ticks) >= _RATE_SAMPLE_PACKETS:
                ticks = sorted(ticks)[:-4]  # the last ones may still miss frames that come later in the file
                break
        ticks.sort()
    steps = [b - a for a, b in pairwise(ticks)]
    if len(steps) < 2:
        return False
    usual = median(steps)
    if _is_broadcast(container.format.name):  # whole steps left out are frames lost on the way
        steps = [step - usual * max(round(step / usual) - 1, 0) for step in steps] if usual else steps
    return any(abs(step - usual) > 1 + 0.02 * usual for step in steps)
