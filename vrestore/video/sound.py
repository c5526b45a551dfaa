"""Sound: copied from one file to another packet by packet, never encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet

from vrestore.video.media import media_errors, open_media, packets_of


class SoundCopy:
    """The sound of `source`, to be put into `container` alongside frames.

    Args:
        source: a media file, with or without sound.
        container: an output file whose header is not written yet; a stream is added to it for each one it can hold.
        shift: seconds to subtract from all timestamps, so that sound and picture stay together.

    Attributes:
        streams: number of sound streams that are copied.
        dropped: sentences on what cannot be copied.
    """

    def __init__(self, source: str | Path, container: OutputContainer, shift: Fraction = Fraction(0)):
        self._path = Path(source)
        self._output = container
        self._input = open_media(source)
        self._tracks: dict[int, _Track] = {}
        self._failed = 0
        self.dropped: list[str] = []
        for stream in self._input.streams.audio:
            self._add(stream, shift)
        if self._input.streams.subtitles:
            self.dropped.append(f"{len(self._input.streams.subtitles)} subtitle stream(s) are left out")
        self._packets = self._read()
        self._held: Packet | None = None

    @property
    def streams(self) -> int:
        return len(self._tracks)

    def close(self) -> None:
        self._input.close()

    def copy_until(self, time: Fraction | None) -> None:
        """Copy the packets up to `time` in seconds, or all that are left.

        Packets that the output refuses are left out, and told in `dropped` at the end: no reason to lose the picture.
        """
        while True:
            packet = self._held or next(self._packets, None)
            self._held = None
            if packet is None:
                break
            if time is not None and (packet.dts or 0) * packet.time_base > time:
                self._held = packet
                return
            try:
                self._output.mux(packet)
            except (av.FFmpegError, ValueError):
                self._failed += 1
        if self._failed:
            self.dropped.append(f"{self._failed} packet(s) of sound could not be copied")
            self._failed = 0

    def _add(self, stream: av.AudioStream, shift: Fraction) -> None:
        context = stream.codec_context
        names = {context.name, context.codec.canonical_name} if context else set()
        if names & self._output.supported_codecs:
            with suppress(av.FFmpegError, ValueError):
                target = self._output.add_stream_from_template(stream)
                self._tracks[stream.index] = _Track(target, -round(shift / Fraction(stream.time_base or 1)))
                return
        holder = self._output.format.name.split(",")[0]
        hint = "" if "matroska" in holder else "; write to .mkv to keep it"
        name = context.name if context else "of a codec that FFmpeg does not know"
        self.dropped.append(f"a sound stream ({name}) is left out: {holder} files cannot hold it{hint}")

    def _read(self) -> Iterator[Packet]:
        chosen = [self._input.streams[i] for i in self._tracks]
        if not chosen:
            return
        with media_errors(self._path, "has sound that cannot be copied"):
            for packet in packets_of(self._input, chosen):
                if packet.dts is not None:  # None is the end of a stream
                    self._tracks[packet.stream.index].place(packet)
                    yield packet


@dataclass
class _Track:
    """A stream of sound on its way.

    Attributes:
        target: the stream of the output.
        offset: ticks to add to the packets' times.
        free_from: first tick after the last packet.
    """

    target: av.AudioStream
    offset: int
    free_from: int | None = None

    def place(self, packet: Packet) -> None:
        """Move a packet to the output's stream and time; where the source's clock jumps back, time goes on."""
        dts, duration = packet.dts or 0, packet.duration or 1
        if self.free_from is not None and dts + self.offset < self.free_from - duration:
            self.offset = self.free_from - dts
        packet.pts = (dts if packet.pts is None else packet.pts) + self.offset
        packet.dts = dts + self.offset
        self.free_from = packet.dts + duration
        packet.stream = self.target
