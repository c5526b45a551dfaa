"""Opening media files, with errors for people in place of those of FFmpeg."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from vrestore.errors import MediaError
from vrestore.video import archive

_MOST_READ_ERRORS = 1000  # in a row without a packet between them; then the rest of the file is given up
ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC: cover art, not a video
TIMED_THUMBNAILS = 0x800


def open_media(path: str | Path) -> InputContainer:
    """Open a media file for reading; one within a tar archive is read where it lies.

    Raises:
        MediaError: it is missing, empty, no file, not readable, or not media.
    """
    path = Path(path)
    check_readable_file(path)
    with media_errors(path, "is not a video that can be read (its header is missing, cut off or of an unknown format)"):
        if archive.split(path) is not None:
            return av.open(archive.open_file(path), "r", metadata_errors="replace")
        # The scheme keeps a name with a colon from being taken for a network address.
        return av.open(f"file:{os.path.abspath(path)}", metadata_errors="replace")


def video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """The main video stream; cover art and thumbnails do not count.

    Raises:
        MediaError: there is none, or none that can be decoded.
    """
    streams = [s for s in container.streams.video if not int(s.disposition) & (ATTACHED_PICTURE | TIMED_THUMBNAILS)]
    decodable = [s for s in streams if s.codec_context is not None]
    best = container.streams.best("video")
    if best in decodable:
        return best  # type: ignore[return-value]
    if decodable:
        return decodable[0]
    if streams:
        raise MediaError(f"'{path}' holds video of a codec that FFmpeg does not know; convert the file first")
    held = "only sound" if container.streams.audio else "nothing that can be shown"
    if container.streams.video:
        held = "only sound and a cover picture" if container.streams.audio else "only a cover picture"
    raise MediaError(f"'{path}' has no video stream: it holds {held}")


def packets_of(
    container: InputContainer, streams: Stream | list[Stream], on_error: Callable[[], None] = lambda: None
) -> Iterator[Packet]:
    """The packets of some streams from the present position on, past errors in reading.

    Args:
        on_error: called for each error.
    """
    errors = 0
    while errors < _MOST_READ_ERRORS:
        try:
            for packet in container.demux(streams):
                errors = 0
                yield packet
            return
        except EOFError:
            return
        except IndexError:  # PyAV meets a packet of a stream that began after the file was opened
            errors += 1
        except av.FFmpegError:
            errors += 1
            on_error()


def check_readable_file(path: Path) -> None:
    """Refuse what is missing, a folder, empty or unreadable.

    Raises:
        MediaError: says which.
    """
    if archive.split(path) is not None:
        with media_errors(path, "cannot be read"):
            n_bytes = archive.size_of(path)
        if n_bytes == 0:
            raise MediaError(f"'{path}' is empty (0 bytes)")
        return
    if not path.exists():
        raise MediaError(f"'{path}' does not exist")
    if not path.is_file():
        raise MediaError(f"'{path}' is not a file")
    if not os.access(path, os.R_OK):
        raise MediaError(f"'{path}' may not be read: permission denied")
    if path.stat().st_size == 0:
        raise MediaError(f"'{path}' is empty (0 bytes)")


@contextmanager
def media_errors(path: str | Path, problem: str) -> Iterator[None]:
    """Turn whatever FFmpeg raises into a MediaError that reads "'path' problem: reason"."""
    try:
        yield
    except MediaError:
        raise
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"'{path}' {problem}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What FFmpeg says, without its numbers."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
