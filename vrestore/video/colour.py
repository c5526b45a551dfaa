"""YUV planes <-> RGB by the stream's own matrix and range, in floating point.

FFmpeg's scaler is off by one to two code values and takes BT.601 for everything, so the planes are converted here.
Matrices and quantisation are those of ITU-T H.273: BT.601, BT.709, BT.2020 (non-constant luminance) and the rarer FCC,
SMPTE 240M and YCgCo; 8 to 16 bits, limited (video) or full range. Transfer curves and primaries are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from vrestore.errors import MediaError
from vrestore.video import chroma
from vrestore.video.pixels import PixelLayout

# Code points of ITU-T H.273, which FFmpeg's numbers follow. None is "not said".
MATRICES = {
    **{0: "rgb", 1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 8: "ycgco", 9: "bt2020"},
    12: "derived",  # from the primaries
}
UNSUPPORTED_MATRICES = {
    10: "BT.2020 constant luminance",
    11: "SMPTE 2085",
    13: "chroma-derived constant luminance",
    14: "ICtCp",
}
MATRIX_CODES = {"rgb": 0, "bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "ycgco": 8, "bt2020": 9}
RANGES = {1: "limited", 2: "full"}
RANGE_CODES = {"limited": 1, "full": 2}
PRIMARIES = {
    **{1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"},
    **{10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"},
}
TRANSFERS = {
    **{1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316"},
    **{11: "iec61966-2-4", 12: "bt1361e", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12", 16: "pq", 17: "smpte428"},
    18: "hlg",
}
PRIMARIES_CODES = {name: code for code, name in PRIMARIES.items()}
TRANSFER_CODES = {name: code for code, name in TRANSFERS.items()}

_MATRIX_OF_PRIMARIES = {
    "bt709": "bt709",
    "bt2020": "bt2020",
    "bt470bg": "bt601",
    "smpte170m": "bt601",
    "smpte240m": "smpte240m",
}
_BAND_ROWS = 128  # converted at a time, so that what is made on the way stays in the processor's cache; a multiple of 4
_LUMA_WEIGHTS = {  # (Kr, Kb)
    "bt709": (0.2126, 0.0722),
    "bt601": (0.299, 0.114),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}


@dataclass(frozen=True)
class ColourTags:
    """What a stream says of its colours; None where it says nothing.

    Attributes:
        matrix: ``bt601``, ``bt709``, ``bt2020``, ``fcc``, ``smpte240m``, ``ycgco`` or ``rgb``.
        range: ``limited`` or ``full``.
        primaries: a name of `PRIMARIES`.
        transfer: a name of `TRANSFERS`.
    """

    matrix: str | None = None
    range: str | None = None
    primaries: str | None = None
    transfer: str | None = None

    def __post_init__(self) -> None:
        known = {
            "matrix": MATRIX_CODES,
            "range": RANGE_CODES,
            "primaries": PRIMARIES_CODES,
            "transfer": TRANSFER_CODES,
        }
        for field, allowed in known.items():
            value = getattr(self, field)
            if value is not None and value not in allowed:
                raise MediaError(f"colour {field} must be one of {', '.join(allowed)}, got {value!r}")


def read_tags(colorspace: int, color_range: int, color_primaries: int, color_trc: int) -> ColourTags:
    """Tags from FFmpeg's numbers.

    Raises:
        MediaError: the matrix is one whose conversion is not linear (BT.2020 constant luminance, ICtCp, …).
    """
    if colorspace in UNSUPPORTED_MATRICES:
        raise MediaError(
            f"the colour matrix {UNSUPPORTED_MATRICES[colorspace]} is not supported; convert the file to BT.2020 "
            f"non-constant luminance first"
        )
    primaries = PRIMARIES.get(color_primaries)
    matrix = MATRICES.get(colorspace)
    if matrix == "derived":  # from the primaries; those of BT.709 and BT.2020 give their own matrices
        matrix = "bt2020" if primaries == "bt2020" else "bt709"
    return ColourTags(matrix, RANGES.get(color_range), primaries, TRANSFERS.get(color_trc))


def codes_of(tags: ColourTags) -> tuple[int, int, int, int]:
    """FFmpeg's numbers for (matrix, range, primaries, transfer); 2 and 0 say "unknown"."""
    return (
        2 if tags.matrix is None else MATRIX_CODES[tags.matrix],
        0 if tags.range is None else RANGE_CODES[tags.range],
        2 if tags.primaries is None else PRIMARIES_CODES[tags.primaries],
        2 if tags.transfer is None else TRANSFER_CODES[tags.transfer],
    )


def resolve(tags: ColourTags, layout_kind: str, pix_fmt: str, codec: str, width: int, height: int) -> ColourTags:
    """Fill in the matrix and the range of a stream that does not tell them.

    The rule: RGB is full range. JPEG, and `yuvj` formats, are BT.601 and full range. Gray is full range. Any other
    untagged YUV is limited range, with the matrix of its primaries where those are tagged, else BT.709 from 1280 pixels
    of width or above 576 lines, else BT.601. Primaries and transfer stay unknown: the frames are not changed by them.
    """
    if layout_kind == "rgb":
        return replace(tags, matrix="rgb", range="full")
    jpeg = pix_fmt.startswith("yuvj") or codec in ("mjpeg", "webp")
    matrix = tags.matrix if tags.matrix != "rgb" else None  # a tag that the planes contradict
    if matrix is None:
        by_size = "bt709" if width >= 1280 or height > 576 else "bt601"
        matrix = "bt601" if jpeg else _MATRIX_OF_PRIMARIES.get(tags.primaries or "", by_size)
    return replace(tags, matrix=matrix, range=tags.range or ("full" if jpeg or layout_kind == "gray" else "limited"))


def siting_of(codec: str) -> str:
    """Where a codec puts its chroma samples: ``center`` for JPEG's family, else ``left``."""
    return "center" if codec in ("mjpeg", "jpeg2000", "webp", "mpeg1video", "theora", "vp3") else "left"


def to_rgb(
    planes: list[np.ndarray], layout: PixelLayout, tags: ColourTags, siting: str = "left", out: Tensor | None = None
) -> Tensor:
    """RGB of one frame.

    Args:
        planes: samples (height, width) a plane: Y U V, R G B, or gray; see `pixels.samples_of`.
        layout: their layout.
        tags: with matrix and range resolved.
        siting: position of the chroma samples, ``left`` or ``center``.
        out: where to put the result, (3, H, W) float32 in one piece; None makes a new tensor.

    Returns:
        (3, H, W) float32 in [0, 1], of full range.
    """
    height, width = planes[0].shape
    out = torch.empty(3, height, width) if out is None else out
    if layout.kind == "rgb":
        for channel, plane in enumerate(planes):
            out[channel] = _tensor(plane)
        return out.div_(layout.peak).clamp_(0, 1)
    scale, black = _luma_code(layout.bits, tags.range)
    if layout.kind == "gray":
        return out.copy_(_tensor(planes[0]).float().sub_(black).div_(scale).clamp_(0, 1).expand(3, height, width))
    weights, middle = _to_rgb_weights(tags.matrix, tags.range, layout.bits)
    down = layout.chroma_step[0]
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        above = max(top // down - 1, 0)  # one chroma line more on either side, to interpolate from
        below = -(-bottom // down) + 1
        uv = torch.stack([_tensor(plane[above:below]) for plane in planes[1:]]).float().sub_(middle)
        # The matrix is applied at chroma size and its result enlarged: the same numbers for less work.
        offsets = (weights @ uv.flatten(1)).view(3, *uv.shape[1:])
        band = out[:, top:bottom]
        chroma.enlarge(
            offsets, (bottom - top, width), layout.chroma_step, siting, first_row=top - above * down, out=band
        )
        # Black and white without colour come out as exactly 0 and 1.
        band.add_(_tensor(planes[0][top:bottom]).float().sub_(black).div_(scale)).clamp_(0, 1)
    return out


def from_rgb(rgb_CHW: Tensor, layout: PixelLayout, tags: ColourTags, siting: str = "left") -> list[np.ndarray]:
    """Planes of rounded code values from RGB; the inverse of `to_rgb`.

    Args:
        rgb_CHW: (3, H, W) floating point; clamped to [0, 1].
        layout: what the planes are for.
        tags: with matrix and range resolved.
        siting: position of the chroma samples.

    Returns:
        Integer arrays (height, width) in the order Y U V, R G B, or gray.
    """
    rgb = rgb_CHW.float().clamp(0, 1)
    if layout.kind == "rgb":
        return [_codes(channel * layout.peak, layout) for channel in rgb]
    scale, black = _luma_code(layout.bits, tags.range)
    to_ypp = _to_yuv_matrix("bt709" if layout.kind == "gray" and tags.matrix in (None, "rgb") else tags.matrix)
    ypp = (to_ypp @ rgb.flatten(1)).view_as(rgb)
    luma = _codes(ypp[0] * scale + black, layout)
    if layout.kind == "gray":
        return [luma]
    chroma_scale, middle = _chroma_code(layout.bits, tags.range)
    uv = chroma.reduce(ypp[1:], layout.chroma_step, siting)
    return [luma, *(_codes(plane * chroma_scale + middle, layout) for plane in uv)]


def _tensor(plane: np.ndarray) -> Tensor:
    """A tensor over the samples; made whole first where torch could not look into them."""
    if plane.dtype == np.uint16:
        plane = plane.astype(np.float32)
    return torch.from_numpy(plane if plane.flags.writeable else plane.copy())


def _codes(values: Tensor, layout: PixelLayout) -> np.ndarray:
    rounded = values.round().clamp_(0, layout.peak)
    return rounded.numpy().astype(np.uint8 if layout.bits <= 8 else np.uint16)


def _luma_code(bits: int, range_name: str | None) -> tuple[float, float]:
    """Code values of white minus black, and of black."""
    if range_name == "full":
        return float(2**bits - 1), 0.0
    return 219.0 * 2 ** (bits - 8), 16.0 * 2 ** (bits - 8)


def _chroma_code(bits: int, range_name: str | None) -> tuple[float, float]:
    """Code values of a colour difference of 1 (from -0.5 to 0.5), and of none."""
    return (float(2**bits - 1) if range_name == "full" else 224.0 * 2 ** (bits - 8)), 2.0 ** (bits - 1)


@cache
def _to_yuv_matrix(matrix: str) -> Tensor:
    """(3, 3): R'G'B' in [0, 1] to Y' in [0, 1] and two colour differences in [-0.5, 0.5]."""
    if matrix == "ycgco":
        return torch.tensor([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]])
    kr, kb = _LUMA_WEIGHTS[matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - kb))
    red = (np.array([1, 0, 0]) - luma) / (2 * (1 - kr))
    return torch.from_numpy(np.stack([luma, blue, red])).float()


@cache
def _to_rgb_weights(matrix: str, range_name: str, bits: int) -> tuple[Tensor, float]:
    """What a step of each chroma code value adds to R'G'B', (3, 2), and the chroma code value without colour."""
    inverse = np.linalg.inv(_to_yuv_matrix(matrix).double().numpy())
    chroma_scale, middle = _chroma_code(bits, range_name)
    return torch.from_numpy(inverse[:, 1:] / chroma_scale).float(), middle
