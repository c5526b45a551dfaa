"""FrameIndex: which frame lies where in a file, for random access."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vrestore.errors import MediaError
from vrestore.video.decode import Decoding
from vrestore.video.media import media_errors

# One packet of these is one frame, so that a healthy file is indexed without being decoded.
ONE_FRAME_A_PACKET = {
    *("h264", "hevc", "vp9", "av1", "libdav1d", "libaom-av1", "mjpeg", "ffv1", "prores", "dnxhd", "png", "gif"),
    *("huffyuv", "utvideo", "rawvideo", "qtrle", "cinepak"),
}


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in the order they are shown.

    Attributes:
        times: seconds from the file's origin, strictly increasing.
        pts: stored timestamps in ticks; None where they do not tell the frames apart, so that only counting from the
            start does.
        keys: timestamps of the keyframes, increasing.
        decoded: whether the index comes from decoding, which is always right, or from the container.
    """

    times: tuple[Fraction, ...]
    pts: tuple[int, ...] | None
    keys: tuple[int, ...]
    decoded: bool

    def __len__(self) -> int:
        return len(self.times)


def build_index(path: Path, origin: Fraction, step: Fraction, *, by_decoding: bool = False) -> FrameIndex:
    """Index a file from its packets where these can be trusted, else by decoding it.

    Args:
        path: a media file.
        origin: seconds to subtract from stored timestamps.
        step: nominal seconds from frame to frame, for frames without a usable timestamp.
        by_decoding: decode in any case.

    Raises:
        MediaError: no frame can be decoded.
    """
    if not by_decoding:
        index = _from_packets(path, origin, step)
        if index is not None:
            return index
    with Decoding(path) as decoding, media_errors(path, "cannot be indexed"):
        found = [(frame.pts, frame.time_base) for frame in decoding.frames()]
    if not found:
        raise MediaError(f"no frame of '{path}' can be decoded: it is cut off or damaged")
    clock = Clock(origin, step)
    times = tuple(clock.time(pts, base) for pts, base in found)
    ticks = tuple(pts for pts, _ in found if pts is not None)
    usable = len(ticks) == len(found) and all(a < b for a, b in pairwise(ticks))
    with Decoding(path) as decoding:
        keys = sorted(p.pts for p in decoding.packets() if p.is_keyframe and p.pts is not None)
    return FrameIndex(times, ticks if usable else None, tuple(keys), decoded=True)


class Clock:
    """Times of successive frames, strictly increasing: one that is missing or steps back comes `step` after the last.

    Args:
        origin: seconds to subtract from stored timestamps.
        step: nominal seconds from frame to frame.

    Attributes:
        missing: whole steps without a frame between those seen.
    """

    def __init__(self, origin: Fraction, step: Fraction):
        self.missing = 0
        self._origin, self._step = origin, step
        self._last: Fraction | None = None

    def time(self, pts: int | None, time_base: Fraction | None) -> Fraction:
        """Seconds from the origin of the next frame, whose stored timestamp is `pts` ticks."""
        time = None if pts is None or not time_base else pts * Fraction(time_base) - self._origin
        if self._last is None:
            self._last = Fraction(0) if time is None else time
        elif time is None or time <= self._last:
            self._last += self._step
        else:
            self.missing += max(round((time - self._last) / self._step) - 1, 0)
            self._last = time
        return self._last


def _from_packets(path: Path, origin: Fraction, step: Fraction) -> FrameIndex | None:
    """The index by the packets alone; None where it could differ from what decoding gives."""
    with Decoding(path) as decoding, media_errors(path, "cannot be indexed"):
        if decoding.stream.codec_context.name not in ONE_FRAME_A_PACKET:
            return None
        packets = [p for p in decoding.packets() if p.size]
        if decoding.damage or not packets or not packets[0].is_keyframe:
            return None
        if any(p.is_corrupt or p.pts is None for p in packets):
            return None
        base = Fraction(decoding.stream.time_base or 0)
    shown = sorted(p.pts for p in packets if not p.is_discard and p.pts is not None)
    if not base or len(set(shown)) < len(shown) or not shown:
        return None
    if packets[0].pts is not None and not packets[0].is_discard and shown[0] < packets[0].pts:
        return None  # frames that lean on what came before the file began
    keys = tuple(sorted(p.pts for p in packets if p.is_keyframe and p.pts is not None))
    clock = Clock(origin, step)
    return FrameIndex(tuple(clock.time(p, base) for p in shown), tuple(shown), keys, decoded=False)
