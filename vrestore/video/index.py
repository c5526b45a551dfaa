"""FrameIndex: which frame lies where in a file, for random access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vrestore.errors import MediaError
from vrestore.video.decode import Decoding
from vrestore.video.media import media_errors

# One packet of these is one frame, so that a healthy file is indexed without being decoded.
ONE_FRAME_A_PACKET = {
    "h264", "hevc", "vp9", "av1", "libdav1d", "libaom-av1", "mjpeg", "ffv1", "prores", "dnxhd", "png", "gif", "huffyuv", "utvideo",
    "rawvideo", "qtrle", "cinepak",
}  # fmt: skip


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file in the order they are shown.

    Attributes:
        times: seconds from the file's origin, strictly increasing.
        pts: stored timestamps in ticks; None where they do not tell the frames apart, so that only counting from the start does.
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
    ticks = [pts for pts, _ in found]
    times = tuple(steady(((None if p is None else p * base) for p, base in found), origin, step))
    usable = None not in ticks and all(a < b for a, b in zip(ticks, ticks[1:], strict=False))
    with Decoding(path) as decoding:
        keys = sorted(p.pts for p in decoding.packets() if p.is_keyframe and p.pts is not None)
    return FrameIndex(times, tuple(ticks) if usable else None, tuple(keys), decoded=True)


def steady(times: Iterable[Fraction | None], origin: Fraction, step: Fraction) -> Iterator[Fraction]:
    """Times from `origin`, made strictly increasing: one that is missing or steps back follows its forerunner by `step`."""
    last = None
    for time in times:
        time = None if time is None else time - origin
        if time is None or (last is not None and time <= last):
            time = Fraction(0) if last is None else last + step
        last = time
        yield time


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
    return FrameIndex(tuple(steady((p * base for p in shown), origin, step)), tuple(shown), keys, decoded=False)
