"""Pixel formats: what the bytes of a decoded frame mean, and frames made from planes of samples."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

import av
import numpy as np

from vrestore.errors import MediaError
from vrestore.video.interleaved import separated

# r, g, b, alpha and padding in the order of their bytes, as FFmpeg spells packed formats: rgb24, bgr0, rgba64le, …
_PACKED_RGB = re.compile(r"^([rgba0]{3,4})(24|48|64)?(le|be)?$")


@dataclass(frozen=True)
class PixelLayout:
    """How a pixel format stores its samples.

    Attributes:
        name: FFmpeg's name, for example ``yuv420p10le``.
        kind: ``yuv``, ``gray`` or ``rgb``.
        bits: bits a sample, 32 for floating point.
        packed: positions of the red, green and blue (or the gray) sample in a pixel, for formats of a single plane.
        pixel_samples: samples a pixel of a packed format, alpha and padding included.
        order: indices of the planes Y, U, V (or R, G, B, or gray) of a planar format.
        chroma_step: (down, right) luma samples a chroma sample; (1, 1) without subsampling.
        has_alpha: whether there is an alpha channel (which is dropped).
    """

    name: str
    kind: str
    bits: int
    order: tuple[int, ...] = ()
    packed: tuple[int, ...] = ()
    pixel_samples: int = 1
    chroma_step: tuple[int, int] = (1, 1)
    has_alpha: bool = False
    big_endian: bool = False

    @property
    def dtype(self) -> np.dtype:
        order = ">" if self.big_endian else "<"
        if self.bits == 32:
            return np.dtype(f"{order}f4")
        return np.dtype("u1") if self.bits <= 8 else np.dtype(f"{order}u2")

    @property
    def peak(self) -> float:
        """The largest code value."""
        return 1.0 if self.bits == 32 else float(2**self.bits - 1)


def samples_of(frame: av.VideoFrame) -> tuple[PixelLayout, list[np.ndarray]]:
    """The samples of a decoded frame.

    Returns:
        The layout, and one array (height, width) of native byte order a plane: Y U V, R G B, or gray. Alpha is left
        out. The arrays may look into the frame's own memory.

    Raises:
        MediaError: the format cannot be read.
    """
    try:
        layout = layout_of(frame.format.name)
    except UnknownLayoutError:
        if (found := separated(frame)) is not None:
            return layout_of(found[0]), found[1]
        frame = _reformatted(frame)
        layout = layout_of(frame.format.name)
    if layout.packed:
        pixels = _plane(frame, 0, layout, layout.pixel_samples)
        pixels = pixels.reshape(frame.height, frame.width, layout.pixel_samples)
        return layout, [_native(pixels[..., i]) for i in layout.packed]
    return layout, [_native(_plane(frame, i, layout)) for i in layout.order]


def frame_of(planes: list[np.ndarray], name: str, width: int, height: int) -> av.VideoFrame:
    """A frame of pixel format `name` that holds the given planes of integer samples (the order of `samples_of`)."""
    layout = layout_of(name)
    frame = av.VideoFrame(width, height, name)
    if layout.packed:
        pixels = _plane(frame, 0, layout, layout.pixel_samples).reshape(height, width, layout.pixel_samples)
        for position, plane in zip(layout.packed, planes, strict=True):
            pixels[..., position] = plane
        for spare in set(range(layout.pixel_samples)) - set(layout.packed):
            pixels[..., spare] = int(layout.peak)
    else:
        for index, plane in zip(layout.order, planes, strict=True):
            _plane(frame, index, layout)[...] = plane
    return frame


class UnknownLayoutError(MediaError):
    """A pixel format whose bytes are not read directly."""


@cache
def layout_of(name: str) -> PixelLayout:
    """The layout of a pixel format by its FFmpeg name.

    Raises:
        UnknownLayoutError: the format is not one of those that are read and written sample by sample.
    """
    unit = av.VideoFormat(name, 16, 16)
    parts = unit.components
    alpha = any(part.is_alpha for part in parts)
    colours = [part for part in parts if not part.is_alpha]
    kind = "gray" if len(colours) == 1 else "rgb" if unit.is_rgb else "yuv"
    bits = max((part.bits for part in colours), default=0)
    odd = unit.has_palette or unit.is_bit_stream or unit.is_bayer or re.search("^xyz|msb|f16", name)
    if odd or bits not in (8, 9, 10, 12, 14, 16, 32) or (bits == 32 and "f32" not in name):
        raise UnknownLayoutError(f"pixel format {name} is not read directly")
    bare = PixelLayout(name, kind, bits, has_alpha=alpha, big_endian=unit.is_big_endian)
    planes = [part.plane for part in colours]
    if len(set(planes)) == len(planes) and (unit.is_planar or len(parts) == 1):
        step = (16 // unit.chroma_height(16), 16 // unit.chroma_width(16)) if kind == "yuv" else (1, 1)
        return replace(bare, order=tuple(planes), chroma_step=step)
    packed = _PACKED_RGB.match(name)
    if kind == "rgb" and packed:
        letters = packed.group(1)
        return replace(bare, packed=tuple(letters.index(c) for c in "rgb"), pixel_samples=len(letters))
    if kind == "gray" and name.startswith("ya"):
        return replace(bare, packed=(0,), pixel_samples=2)
    raise UnknownLayoutError(f"pixel format {name} is not read directly")


def _plane(frame: av.VideoFrame, index: int, layout: PixelLayout, pixel_samples: int = 1) -> np.ndarray:
    """A view (height, width * pixel_samples) of one plane, without the padding at the end of its lines."""
    plane = frame.planes[index]
    lines = np.frombuffer(memoryview(plane), layout.dtype, plane.height * plane.line_size // layout.dtype.itemsize)
    return lines.reshape(plane.height, -1)[:, : plane.width * pixel_samples]


def _native(samples: np.ndarray) -> np.ndarray:
    return samples if samples.dtype.isnative else samples.astype(samples.dtype.newbyteorder("="))


def _reformatted(frame: av.VideoFrame) -> av.VideoFrame:
    """A rare format (semi-planar, palette, bit-packed, …) as the directly readable one that loses nothing of it.

    FFmpeg's scaler only moves samples here: it never crosses from YUV to RGB, which is where it would round.
    """
    unit = frame.format
    colours = [part for part in unit.components if not part.is_alpha]
    bits = max((part.bits for part in colours), default=0)
    if unit.name.startswith("xyz") or unit.is_bayer or not colours:
        raise MediaError(f"pixel format {unit.name} is not supported; convert the file to RGB or YUV first")
    if unit.has_palette:
        target = "rgba"
    elif len(colours) == 1:
        target = "gray" if bits <= 8 else "gray16le"
    elif unit.is_rgb:
        target = "rgb24" if bits <= 8 else "rgb48le"
    else:
        down, right = (-(-16 // n) for n in (unit.chroma_height(16), unit.chroma_width(16)))
        family = {(2, 2): "420", (1, 2): "422", (1, 1): "444"}.get((down, right), "444")
        target = f"yuv{family}p" if bits <= 8 else f"yuv{family}p{bits if bits in (10, 12) else 16}le"
    try:
        return frame.reformat(format=target)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"pixel format {unit.name} is not supported; convert the file to yuv420p or rgb24 first"
        ) from error
