"""Decoding: one way through the frames of a file, that goes on past damage and keeps account of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.logging
from av.packet import Packet

from vrestore.video.media import media_errors, open_media, packets_of, video_stream


@dataclass
class Damage:
    """What went wrong on the way, in packets (mostly one a frame).

    Attributes:
        corrupt: marked as damaged by the container.
        undecodable: refused by the decoder.
        concealed: decoded with complaints; FFmpeg has painted over what was missing.
        read_errors: failures to read on.
    """

    corrupt: int = 0
    undecodable: int = 0
    concealed: int = 0
    read_errors: int = 0

    def __bool__(self) -> bool:
        return bool(self.corrupt or self.undecodable or self.concealed or self.read_errors)

    def __str__(self) -> str:
        parts = {
            "marked as corrupt": self.corrupt,
            "not decodable": self.undecodable,
            "decoded with errors painted over": self.concealed,
        }
        text = ", ".join(f"{count} packet(s) {what}" for what, count in parts.items() if count)
        errors = f"{self.read_errors} error(s) in reading" if self.read_errors else ""
        return ", ".join(part for part in (text, errors) if part) or "none"


class Decoding:
    """The main video stream of a file, being decoded.

    Args:
        path: a media file.
        threads: decoder threads. With more than one, FFmpeg decodes several frames at a time: quicker, but in a damaged
            file frames near the damage can be lost without notice, and which ones depends on the number.

    Attributes:
        container, stream: PyAV's.
        damage: what went wrong so far.

    Raises:
        MediaError: as `media.open_media` and `media.video_stream`.
    """

    def __init__(self, path: str | Path, threads: int = 1):
        self.path = Path(path)
        self.damage = Damage()
        self._sought = False
        self._alone = threads == 1
        self.container = open_media(path)
        try:
            with media_errors(path, "cannot be read"):
                self.stream = video_stream(self.container, path)
                self.stream.thread_type = "SLICE" if threads == 1 else "FRAME"
                self.stream.codec_context.thread_count = threads
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> Decoding:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames from the first keyframe at the present position on, in the order they are shown.

        Damage is counted in `damage`, not raised. Frames that an edit list hides are left out.

        Raises:
            MediaError: FFmpeg fails in a way that is no damage of the data.
        """
        started = not self._sought
        with media_errors(self.path, "cannot be decoded"):
            for packet in self.packets():
                started = started or packet.is_keyframe
                if not started and packet.size:
                    continue
                if packet.is_corrupt:
                    self.damage.corrupt += 1
                try:
                    with _complaints(self._alone) as complaints:
                        frames = packet.decode()
                except EOFError:
                    return
                except (av.FFmpegError, MemoryError):
                    self.damage.undecodable += 1
                    continue
                self.damage.concealed += bool(complaints) and not packet.is_corrupt
                yield from frames
            with suppress(av.FFmpegError):  # the empty packet at the end has done this, unless reading broke off
                yield from self.stream.codec_context.decode(None)

    def packets(self) -> Iterator[Packet]:
        """The packets of the stream from the present position on; an empty one at the end empties the decoder."""
        return packets_of(self.container, self.stream, self._count_read_error)

    def _count_read_error(self) -> None:
        self.damage.read_errors += 1

    def seek(self, pts: int) -> None:
        """Go to a keyframe at or before `pts`, in ticks of the stream."""
        with media_errors(self.path, "cannot be searched"):
            self.container.seek(pts, stream=self.stream, backward=True)
        self._sought = True


_level_lock = threading.Lock()
_listeners = 0


@contextmanager
def _complaints(alone: bool) -> Iterator[list]:
    """What FFmpeg logs as an error while the block runs; it is silent otherwise.

    Args:
        alone: no other thread works for us; what others log is not ours then.
    """
    global _listeners
    with _level_lock:
        _listeners += 1
        av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=alone) as messages:
            yield messages
    finally:
        with _level_lock:
            _listeners -= 1
            if _listeners == 0:
                av.logging.set_level(None)
