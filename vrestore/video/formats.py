"""What to encode with: codec, pixel format and quality, chosen from the suffix and checked before a frame is made."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path

import av

from vrestore.errors import MediaError
from vrestore.video.pixels import UnknownLayoutError, layout_of

# What a file is encoded with when nobody says otherwise. A name without a suffix is a folder of PNG files.
CODEC_OF_SUFFIX = {".mp4": "h264", ".m4v": "h264", ".mov": "h264", ".mkv": "h264"}
ALIASES = {
    "h264": "h264", "avc": "h264", "x264": "h264", "libx264": "h264",
    "h265": "h265", "hevc": "h265", "x265": "h265", "libx265": "h265",
    "ffv1": "ffv1", "png": "png",
}  # fmt: skip
ENCODERS = {"h264": "libx264", "h265": "libx265", "ffv1": "ffv1", "png": "png"}
# Visually lossless at moderate size; H.265's scale lies about two steps lower for the same quality.
DEFAULT_CRF = {"h264": 17, "h265": 19}
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
# x265 writes beyond its buffers at widths from 32 to 48 (seen in the encoder that PyAV 18.1 carries), which takes the
# whole process down; one coding block is asked for.
H265_LEAST_WIDTH = 64
_CONTAINERS = {  # codecs that a container takes from us
    ".mp4": ("h264", "h265"),
    ".m4v": ("h264", "h265"),
    ".mov": ("h264", "h265"),
    ".mkv": ("h264", "h265", "ffv1"),
}
_BY_DEPTH = {  # the pixel format for a bit depth, smallest sufficient first
    "h264": {8: "yuv420p", 10: "yuv420p10le"},
    "h265": {8: "yuv420p", 10: "yuv420p10le"},
    "ffv1": {8: "bgr0", 10: "gbrp10le", 12: "gbrp12le", 14: "gbrp14le", 16: "gbrp16le"},
    "png": {8: "rgb24", 16: "rgb48be"},
}


@dataclass(frozen=True)
class Encoding:
    """How frames become a file.

    Attributes:
        codec: ``h264``, ``h265``, ``ffv1`` or ``png``.
        pix_fmt: FFmpeg's name.
        options: for the encoder.
        reasons: sentences on choices that a person may not expect.
    """

    codec: str
    pix_fmt: str
    options: dict[str, str]
    reasons: list[str] = field(default_factory=list)

    @property
    def lossless(self) -> bool:
        """Whether RGB of the format's bit depth comes back bit for bit."""
        return layout_of(self.pix_fmt).kind == "rgb"


def is_folder_target(path: str | Path) -> bool:
    """Whether an output path means a folder of PNG files: it has no suffix, or is a folder already."""
    return Path(path).suffix == "" or Path(path).is_dir()


def codec_for(path: str | Path, codec: str | None = None) -> str:
    """The codec for an output path.

    Raises:
        MediaError: an unknown codec or suffix, or a container that does not take the codec.
    """
    path = Path(path)
    known = None if codec is None else ALIASES.get(codec.lower())
    if codec is not None and known is None:
        raise MediaError(f"codec must be h264, h265, ffv1 or png, got {codec!r}")
    if is_folder_target(path):
        if known not in (None, "png"):
            raise MediaError(
                f"'{path}' has no suffix and so means a folder of PNG files, which cannot hold {known}; "
                f"name a file, for example '{path}.mkv'"
            )
        return "png"
    suffix = path.suffix.lower()
    if suffix not in CODEC_OF_SUFFIX:
        close = difflib.get_close_matches(suffix, CODEC_OF_SUFFIX, n=1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        raise MediaError(
            f"'{path}' ends in '{suffix}'{hint}; write to {', '.join(CODEC_OF_SUFFIX)}, or to a folder (a name without "
            f"a suffix) for PNG files"
        )
    chosen = known or CODEC_OF_SUFFIX[suffix]
    if chosen not in _CONTAINERS[suffix]:
        homes = [s for s, codecs in _CONTAINERS.items() if chosen in codecs]
        where = f"a file ending in {' or '.join(homes)}" if homes else "a folder (a name without a suffix)"
        raise MediaError(f"{suffix} files do not take {chosen}; write {chosen} to {where}")
    return chosen


def plan_encoding(
    path: str | Path,
    width: int,
    height: int,
    *,
    codec: str | None = None,
    pix_fmt: str | None = None,
    crf: float | None = None,
    preset: str | None = None,
    bit_depth: int = 8,
) -> Encoding:
    """Choose and check everything that an encoder needs.

    Args:
        path: where to; its suffix names the container and, without `codec`, the codec.
        width, height: of the frames in pixels.
        codec: ``h264``, ``h265``, ``ffv1`` or ``png``; None goes by the suffix, with H.265 for more than 8 bits.
        pix_fmt: FFmpeg's name; None takes 4:2:0 for H.264 and H.265 (4:4:4 where a side is odd), RGB for FFV1 and PNG.
        crf: quality of H.264 and H.265, 0 (lossless) to 51; None is 17 and 19.
        preset: speed of H.264 and H.265, ``ultrafast`` to ``placebo``; None is ``medium``.
        bit_depth: bits a sample to keep, where `pix_fmt` is not given.

    Raises:
        MediaError: a combination that does not work; says what does.
    """
    name = codec_for(path, codec)
    reasons = []
    if codec is None and name == "h264" and bit_depth > 8 and pix_fmt is None and width >= H265_LEAST_WIDTH:
        name = "h265"
        reasons.append(
            f"the {bit_depth}-bit frames are written as H.265, because few players show H.264 of more than 8 bits"
        )
    options = _options(name, crf, preset)
    if name == "ffv1" and min(width, height) < 64:
        options["slices"] = "1"  # FFmpeg finds no way to slice some small frames and then refuses them
    if name == "h265" and width < H265_LEAST_WIDTH:
        raise MediaError(
            f"h265 needs frames at least {H265_LEAST_WIDTH} pixels wide, but they are {width}x{height}; choose h264 "
            f"or ffv1"
        )
    if pix_fmt is not None:
        return Encoding(name, _checked_pix_fmt(name, pix_fmt, width, height), options)
    formats = _BY_DEPTH[name]
    depth = next((d for d in formats if d >= bit_depth), max(formats))
    if depth < bit_depth:
        reasons.append(f"the {bit_depth}-bit frames are written with {depth} bits, the most that {name} keeps here")
    chosen = formats[depth]
    if "420" in chosen and (width % 2 or height % 2):
        chosen = chosen.replace("420", "444")
        reasons.append(
            f"the frames are {width}x{height} and 4:2:0 needs even sides, so they are written as {chosen} (full-size "
            f"colour)"
        )
    return Encoding(name, chosen, options, reasons)


def _options(codec: str, crf: float | None, preset: str | None) -> dict[str, str]:
    if codec in ("ffv1", "png"):
        given = [name for name, value in (("crf", crf), ("preset", preset)) if value is not None]
        if given:
            raise MediaError(
                f"{codec} is lossless and takes no {' and no '.join(given)}; leave it out or choose h264 or h265"
            )
        return {"level": "3", "slicecrc": "1"} if codec == "ffv1" else {"pred": "mixed", "compression_level": "1"}
    crf = DEFAULT_CRF[codec] if crf is None else crf
    if isinstance(crf, bool) or not isinstance(crf, (int, float)) or not 0 <= crf <= 51:
        raise MediaError(f"crf must be a number from 0 (lossless) to 51 (worst), got {crf!r}")
    preset = "medium" if preset is None else preset
    if preset not in PRESETS:
        close = difflib.get_close_matches(str(preset), PRESETS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise MediaError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}{hint}")
    options = {"crf": f"{crf:g}", "preset": preset}
    if codec == "h265":
        options["x265-params"] = "log-level=error"
    return options


def _checked_pix_fmt(codec: str, pix_fmt: str, width: int, height: int) -> str:
    allowed = [f.name for f in av.Codec(ENCODERS[codec], "w").video_formats or []]
    usable = [name for name in allowed if _writable(name)]
    name = pix_fmt if pix_fmt in usable else f"{pix_fmt}le"
    if name not in usable:
        raise MediaError(f"{codec} does not write pixel format {pix_fmt!r}; it writes {', '.join(usable)}")
    down, right = layout_of(name).chroma_step
    if codec != "ffv1" and (width % right or height % down):
        raise MediaError(
            f"pixel format {name} needs a width that is a multiple of {right} and a height of {down}, but the frames "
            f"are {width}x{height}; choose {'yuv444p10le' if layout_of(name).bits > 8 else 'yuv444p'} or another size"
        )
    return name


def _writable(name: str) -> bool:
    try:
        layout = layout_of(name)
    except UnknownLayoutError:
        return False
    # yuvj formats are full range by name, whatever range was chosen.
    return not layout.has_alpha and layout.bits <= 16 and not name.startswith("yuvj")
