"""The media contract: what was asked to be written is what a reader finds in the file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from vrestore.errors import MediaError
from vrestore.video.colour import ColourTags
from vrestore.video.decode import Decoding
from vrestore.video.folder import FrameFolder
from vrestore.video.probe import probe


def check_contract(
    path: str | Path,
    *,
    width: int,
    height: int,
    times: Sequence[Fraction],
    tags: ColourTags | None = None,
    sound_streams: int | None = None,
) -> None:
    """Read a finished output back: every frame must decode, with the promised size, number, times and colour tags.

    Args:
        path: a file or a folder of frames.
        width, height: of every frame in pixels.
        times: seconds of every frame as promised. A file may shift them all by the same amount when its sound begins
            before its picture and the container knows no time before zero (Matroska).
        tags: promised colour tags; a field of None promises nothing. Folders have none.
        sound_streams: promised number of sound streams; None promises nothing.

    Raises:
        MediaError: names the first promise that is not kept.
    """
    path = Path(path)
    info = probe(path)
    if (info.width, info.height) != (width, height):
        raise _broken(f"frames of {info.width}x{info.height} in place of {width}x{height}")
    if info.kind == "folder":
        folder = FrameFolder(path)
        if len(folder.files) != len(times):
            raise _broken(f"{len(folder.files)} frames in place of {len(times)}")
        for index in range(len(folder.files)):
            folder.decode(index)
        return
    for field in ("matrix", "range", "primaries", "transfer"):
        promised = getattr(tags, field, None)
        found = getattr(info.tags, field)
        if promised is not None and found != promised:
            raise _broken(f"colour {field} {found or 'untagged'} in place of {promised}")
    if sound_streams is not None and info.has_audio != bool(sound_streams):
        raise _broken("no sound" if sound_streams else "sound that was not asked for")
    _check_times(path, times, info.time_base or Fraction(1, 90000))


def _check_times(path: Path, times: Sequence[Fraction], tick: Fraction) -> None:
    shift, count = None, 0
    with Decoding(path) as decoding:  # by one thread, which notices all damage
        for frame in decoding.frames():
            if count < len(times):
                found = None if frame.pts is None else frame.pts * Fraction(frame.time_base or tick)
                if found is None:
                    raise _broken(f"no time for frame {count}")
                shift = found - times[0] if shift is None else shift
                if abs(found - times[count] - shift) > tick * 2:
                    raise _broken(
                        f"frame {count} at {float(found - shift):.6f} s in place of {float(times[count]):.6f} s"
                    )
            count += 1
        if decoding.damage:
            raise _broken(f"damage ({decoding.damage})")
    if count != len(times):
        raise _broken(f"{count} frames in place of {len(times)}")


def _broken(what: str) -> MediaError:
    return MediaError(f"the written video was read back and holds {what}; it is not kept")
