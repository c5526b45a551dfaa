"""Pixel formats: bytes to samples and back."""

import av
import numpy as np
import pytest
from PIL import Image

from vrestore.errors import MediaError
from vrestore.video import read_clip
from vrestore.video.pixels import UnknownLayoutError, frame_of, layout_of, samples_of

DIRECT = [
    *("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuv420p10le", "yuv422p10le", "yuv444p12le"),
    *("yuv420p16le", "yuvj420p", "gray", "gray10le", "gray16be", "gbrp", "gbrp10le", "gbrp16le", "rgb24", "bgr24"),
    *("bgr0", "0rgb", "rgba", "argb", "rgb48be", "rgb48le", "rgba64le", "ya8", "yuva420p", "gbrap"),
]


def random_planes(name: str, width: int, height: int) -> list[np.ndarray]:
    layout = layout_of(name)
    rng = np.random.default_rng(1)
    down, right = layout.chroma_step
    small = (-(-height // down), -(-width // right))
    shapes = [(height, width)] + [small if layout.kind == "yuv" else (height, width)] * (
        0 if layout.kind == "gray" else 2
    )
    return [rng.integers(0, int(layout.peak) + 1, shape).astype(np.uint16) for shape in shapes]


@pytest.mark.parametrize("size", [(16, 8), (37, 23)])
@pytest.mark.parametrize("name", DIRECT)
def test_samples_come_back_from_a_frame(name, size):
    planes = random_planes(name, *size)
    layout, found = samples_of(frame_of(planes, name, *size))
    assert layout.name == name
    for ours, theirs in zip(planes, found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# format -> the planar format of the same samples, and how the planes are written into its bytes
INTERLEAVED = {
    "nv12": ("yuv420p", 0),
    "nv21": ("yuv420p", 0),
    "nv24": ("yuv444p", 0),
    "p010le": ("yuv420p10le", 6),
    "p016le": ("yuv420p16le", 0),
    "yuyv422": ("yuv422p", None),
    "uyvy422": ("yuv422p", None),
}


@pytest.mark.parametrize("size", [(32, 16), (38, 24), (642, 362)])
@pytest.mark.parametrize("name", INTERLEAVED)
def test_interleaved_chroma_is_taken_apart_exactly(name, size):
    plain, shift = INTERLEAVED[name]
    planes = random_planes(plain, *size)
    layout, found = samples_of(interleaved_frame(name, planes, shift, *size))
    assert layout.name == plain
    for ours, theirs in zip(planes, found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def interleaved_frame(name, planes, shift, width, height) -> av.VideoFrame:
    """The bytes of a semi-planar or packed frame, laid out sample by sample."""
    y, u, v = planes
    frame = av.VideoFrame(width, height, name)
    if shift is None:
        line = np.empty((height, 2 * width), np.uint8)
        first = name == "uyvy422"
        line[:, first::2], line[:, 1 - first :: 4], line[:, 3 - first :: 4] = y, u, v
        lines = [line]
    else:
        pair = [v, u] if name == "nv21" else [u, v]
        lines = [y << shift, np.stack(pair, axis=-1).reshape(u.shape[0], -1) << shift]
    for plane, content in zip(frame.planes, lines, strict=True):
        raw = content.astype("<u2" if name.startswith("p0") else "u1").view(np.uint8)
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : raw.shape[1]] = raw
        plane.update(padded.tobytes())
    return frame


def test_palette_images_equal_pillow(tmp_path):
    image = Image.effect_noise((21, 13), 90).convert("RGB").quantize(16)
    image.save(tmp_path / "0.png")
    found = read_clip(tmp_path, dtype="uint8")[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


def test_one_bit_images_equal_pillow(tmp_path):
    image = Image.effect_noise((21, 13), 90).convert("1")
    image.save(tmp_path / "0.png")
    found = read_clip(tmp_path, dtype="uint8")[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("name", ["nv12", "pal8", "rgb565le", "xyz12le", "gbrpf16le", "monob", "bayer_rggb8"])
def test_formats_that_are_not_read_directly_say_so(name):
    with pytest.raises(UnknownLayoutError, match=name):
        layout_of(name)


@pytest.mark.parametrize("name", ["xyz12le", "bayer_rggb8"])
def test_formats_without_a_meaning_for_us_are_refused(name):
    with pytest.raises(MediaError, match=f"{name} is not supported"):
        samples_of(av.VideoFrame(16, 16, name))
