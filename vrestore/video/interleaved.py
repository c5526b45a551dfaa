"""Pixel formats that interleave chroma: semi-planar (NV12, P010, …) and packed 4:2:2 (YUYV, …), taken apart exactly.

FFmpeg's scaler would only have to move samples here, but its vector code has been seen to leave wrong samples in some
runs, for P010 and for packed 4:2:2, so that two readings of one frame differed.
"""

from __future__ import annotations

import re

import av
import numpy as np

_SEMI_PLANAR = re.compile(r"^(nv12|nv16|nv21|nv24|nv42|p0|p2|p4)(10|12|16)?(le|be)?$")
_FAMILIES = {
    **{"nv12": "420", "nv21": "420", "nv16": "422", "nv24": "444", "nv42": "444"},
    **{"p0": "420", "p2": "422", "p4": "444"},
}
# positions of the first Y, U and V among the four samples of two pixels
_PACKED_422 = {"yuyv422": (0, 1, 3), "uyvy422": (1, 0, 2), "yvyu422": (0, 3, 1)}


def separated(frame: av.VideoFrame) -> tuple[str, list[np.ndarray]] | None:
    """The Y, U and V samples of a frame with interleaved chroma.

    Returns:
        The planar format of the same depth and subsampling (FFmpeg's name) and its three planes in native byte order;
        None where the frame's format is not one of these.
    """
    name, width = frame.format.name, frame.width
    if name in _PACKED_422:
        y, u, v = _PACKED_422[name]
        pairs = -(-width // 2)
        line = _lines(frame, 0, np.dtype("u1"))[:, : 4 * pairs]
        return "yuv422p", [line[:, y::2][:, :width], line[:, u::4], line[:, v::4]]
    match = _SEMI_PLANAR.match(name)
    if match is None or (match[1].startswith("p") != bool(match[2])):
        return None
    bits = int(match[2] or 8)
    family = _FAMILIES[match[1]]
    dtype = np.dtype("u1") if bits == 8 else np.dtype(">u2" if match[3] == "be" else "<u2")
    chroma_width = width if family == "444" else -(-width // 2)
    luma = _lines(frame, 0, dtype)[:, :width]
    chroma = _lines(frame, 1, dtype)[:, : 2 * chroma_width]
    first, second = chroma[:, 0::2], chroma[:, 1::2]
    planes = [luma, second, first] if match[1] in ("nv21", "nv42") else [luma, first, second]
    if bits > 8:  # the samples stand in the high bits
        planes = [plane.astype("u2") >> (16 - bits) for plane in planes]
    return f"yuv{family}p" + ("" if bits == 8 else f"{bits}le"), planes


def _lines(frame: av.VideoFrame, index: int, dtype: np.dtype) -> np.ndarray:
    plane = frame.planes[index]
    lines = np.frombuffer(memoryview(plane), dtype, plane.height * plane.line_size // dtype.itemsize)
    return lines.reshape(plane.height, -1)
