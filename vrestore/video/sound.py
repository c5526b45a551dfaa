"""Sound: copied from one file to another packet by packet, never encoded again."""

from __future__ import annotations

from collections.abc import Iterator
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
        self._shift = shift
        self._input = open_media(source)
        self._targets: dict[int, av.AudioStream] = {}
        self.dropped: list[str] = []
        holder = container.format.name.split(",")[0]
        for stream in self._input.streams.audio:
            name = stream.codec_context.name if stream.codec_context else "an unknown codec"
            canonical = stream.codec_context.codec.canonical_name if stream.codec_context else ""
            if {name, canonical} & container.supported_codecs:
                try:
                    self._targets[stream.index] = container.add_stream_from_template(stream)
                    continue
                except (av.FFmpegError, ValueError):
                    pass
            self.dropped.append(
                f"a sound stream ({name}) is left out: {holder} files cannot hold it; write to .mkv to keep it"
            )
        if self._input.streams.subtitles:
            self.dropped.append(f"{len(self._input.streams.subtitles)} subtitle stream(s) are left out")
        self._packets = self._read()
        self._held: Packet | None = None

    @property
    def streams(self) -> int:
        return len(self._targets)

    def close(self) -> None:
        self._input.close()

    def copy_until(self, time: Fraction | None) -> None:
        """Copy the packets up to `time` in seconds, or all that are left."""
        while True:
            packet = self._held or next(self._packets, None)
            self._held = None
            if packet is None:
                return
            if time is not None and packet.dts is not None and packet.dts * packet.time_base > time:
                self._held = packet
                return
            self._output.mux(packet)

    def _read(self) -> Iterator[Packet]:
        chosen = [self._input.streams[i] for i in self._targets]
        if not chosen:
            return
        with media_errors(self._path, "has sound that cannot be copied"):
            for packet in packets_of(self._input, chosen):
                if packet.dts is None:  # the end of a stream
                    continue
                ticks = round(self._shift / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - ticks
                packet.dts -= ticks
                packet.stream = self._targets[packet.stream.index]
                yield packet
