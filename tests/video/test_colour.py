"""Colour conversion against published code values, and its round trips."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.video.clips import psnr, smooth_frames
from vrestore.errors import MediaError
from vrestore.video import colour
from vrestore.video.colour import ColourTags
from vrestore.video.pixels import layout_of

# Code values of the 100% colour bars, 8 bit: ITU-R BT.601-7 and BT.709-6 with limited range; JFIF for the full one.
PUBLISHED = [
    ("bt601", "limited", (1, 1, 1), (235, 128, 128)),
    ("bt601", "limited", (0, 0, 0), (16, 128, 128)),
    ("bt601", "limited", (1, 0, 0), (81, 90, 240)),
    ("bt601", "limited", (0, 1, 0), (145, 54, 34)),
    ("bt601", "limited", (0, 0, 1), (41, 240, 110)),
    ("bt709", "limited", (1, 0, 0), (63, 102, 240)),
    ("bt709", "limited", (0, 1, 0), (173, 42, 26)),
    ("bt709", "limited", (0, 0, 1), (32, 240, 118)),
    ("bt601", "full", (1, 0, 0), (76, 85, 255)),
    ("bt601", "full", (0, 0, 1), (29, 255, 107)),
    ("bt2020", "limited", (1, 0, 0), (74, 97, 240)),
]


def flat(rgb) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(3, 1, 1).expand(3, 4, 4)


def convert_twice(frames, pix_fmt, tags, siting="left"):
    layout = layout_of(pix_fmt)
    return torch.stack([colour.to_rgb(colour.from_rgb(f, layout, tags, siting), layout, tags, siting) for f in frames])


@pytest.mark.parametrize(("matrix", "range_name", "rgb", "codes"), PUBLISHED)
def test_published_code_values(matrix, range_name, rgb, codes):
    planes = colour.from_rgb(flat(rgb), layout_of("yuv444p"), ColourTags(matrix, range_name))
    assert tuple(int(p[0, 0]) for p in planes) == codes


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p", "gray"])
@pytest.mark.parametrize("range_name", ["limited", "full"])
def test_black_white_and_gray_are_exact(pix_fmt, range_name):
    for level in (0.0, 1.0):
        image = torch.full((1, 3, 4, 6), level)
        assert torch.equal(convert_twice(image, pix_fmt, ColourTags("bt709", range_name)), image)
    gray = convert_twice(torch.full((1, 3, 4, 6), 0.4), pix_fmt, ColourTags("bt709", range_name))
    assert torch.equal(gray[:, 0], gray[:, 1])
    assert torch.equal(gray[:, 0], gray[:, 2])


@pytest.mark.parametrize("bits", [10, 12])
def test_deeper_limited_range_is_the_8_bit_one_shifted(bits):
    layout = layout_of(f"yuv444p{bits}le")
    planes = colour.from_rgb(flat((1, 1, 1)), layout, ColourTags("bt709", "limited"))
    assert [int(p[0, 0]) for p in planes] == [235 << (bits - 8), 128 << (bits - 8), 128 << (bits - 8)]


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020", "fcc", "smpte240m", "ycgco"])
@pytest.mark.parametrize("range_name", ["limited", "full"])
@pytest.mark.parametrize(("pix_fmt", "least_db"), [("yuv444p", 50), ("yuv444p10le", 62), ("yuv444p16le", 98)])
def test_round_trip_without_subsampling(matrix, range_name, pix_fmt, least_db):
    frames = smooth_frames(1, 64, 64)
    back = convert_twice(frames, pix_fmt, ColourTags(matrix, range_name))
    assert psnr(back, frames) > least_db
    assert abs(float((back - frames).mean())) * 255 < 0.05


@pytest.mark.parametrize("siting", ["left", "center"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize(("pix_fmt", "least_db"), [("yuv420p", 54.0), ("yuv420p10le", 63.0)])
def test_420_round_trip_of_a_smooth_image_is_unbiased(matrix, pix_fmt, least_db, siting):
    y, x = torch.meshgrid(torch.linspace(0, 1, 256), torch.linspace(0, 1, 256), indexing="ij")
    waves = [torch.sin(3 * x + 2 * y), torch.cos(4 * y - x), torch.sin(5 * x * y + 1)]
    image = torch.stack([0.5 + 0.4 * wave for wave in waves])[None]
    back = convert_twice(image, pix_fmt, ColourTags(matrix, "limited"), siting)
    assert psnr(back, image) >= least_db
    per_channel = (back - image).mean((0, 2, 3)) * 255
    assert per_channel.abs().max() < 0.05


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv410p"])
@pytest.mark.parametrize("height", [301, 128, 130, 257])
def test_large_frames_have_no_seams_where_the_work_is_cut(monkeypatch, pix_fmt, height):
    layout, tags = layout_of(pix_fmt), ColourTags("bt709", "limited")
    planes = colour.from_rgb(torch.rand(3, height, 38), layout, tags)
    cut = colour.to_rgb(planes, layout, tags)
    monkeypatch.setattr(colour, "_BAND_ROWS", 10_000)
    assert torch.equal(colour.to_rgb(planes, layout, tags), cut)


@pytest.mark.parametrize("pix_fmt", ["gbrp", "rgb24", "bgr0", "gbrp10le", "gbrp12le", "gbrp16le", "rgb48be"])
def test_rgb_formats_are_exact(pix_fmt):
    layout = layout_of(pix_fmt)
    codes = np.random.default_rng(0).integers(0, int(layout.peak) + 1, (3, 9, 7))
    image = torch.from_numpy(codes / layout.peak).float()
    planes = colour.from_rgb(image, layout, ColourTags("rgb", "full"))
    np.testing.assert_array_equal(np.stack(planes), codes)
    assert torch.equal(colour.to_rgb(planes, layout, ColourTags("rgb", "full")), image)


@settings(max_examples=60, deadline=None)
@given(
    rgb=st.tuples(*[st.floats(0, 1, width=32)] * 3),
    matrix=st.sampled_from(["bt601", "bt709", "bt2020"]),
    range_name=st.sampled_from(["limited", "full"]),
    bits=st.sampled_from([8, 10]),
    siting=st.sampled_from(["left", "center"]),
)
def test_any_flat_colour_survives_420_within_its_rounding(rgb, matrix, range_name, bits, siting):
    """Half a code value in each plane, seen through the matrix (whose rows sum to less than 4.5 in absolute value)."""
    back = convert_twice(
        flat(rgb)[None], "yuv420p" if bits == 8 else "yuv420p10le", ColourTags(matrix, range_name), siting
    )
    steps = 219 * 2 ** (bits - 8) if range_name == "limited" else 2**bits - 1
    assert (back[0] - flat(rgb)).abs().max() <= 4.5 * 0.5 / steps


def test_values_outside_the_unit_interval_are_clamped_and_rounded_not_cut():
    image = torch.tensor([-0.5, 1.5, 0.5]).view(3, 1, 1)
    planes = colour.from_rgb(image, layout_of("gbrp"), ColourTags("rgb", "full"))
    assert [int(p[0, 0]) for p in planes] == [0, 255, 128]  # 127.5 is rounded to even


def test_gray_is_spread_over_three_channels_and_made_from_luma():
    layout, tags = layout_of("gray"), ColourTags("bt601", "full")
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = colour.to_rgb([ramp], layout, tags)
    assert torch.equal(rgb[0], rgb[2])
    np.testing.assert_array_equal((rgb[1] * 255).round().numpy().astype(np.uint8), ramp)
    np.testing.assert_array_equal(colour.from_rgb(rgb, layout, tags)[0], ramp)


@pytest.mark.parametrize(
    ("tags", "pix_fmt", "codec", "size", "expected"),
    [
        (ColourTags(), "yuv420p", "h264", (720, 576), ("bt601", "limited")),
        (ColourTags(), "yuv420p", "h264", (1280, 720), ("bt709", "limited")),
        (ColourTags(), "yuv420p", "h264", (1024, 600), ("bt709", "limited")),
        (ColourTags(primaries="bt2020"), "yuv420p10le", "hevc", (640, 360), ("bt2020", "limited")),
        (ColourTags(primaries="smpte170m"), "yuv420p", "h264", (1920, 1080), ("bt601", "limited")),
        (ColourTags("bt709", "full"), "yuv420p", "h264", (320, 180), ("bt709", "full")),
        (ColourTags(), "yuvj420p", "mjpeg", (1920, 1080), ("bt601", "full")),
        (ColourTags("rgb"), "yuv444p", "h264", (320, 180), ("bt601", "limited")),
    ],
)
def test_rule_for_untagged_streams(tags, pix_fmt, codec, size, expected):
    found = colour.resolve(tags, "yuv", pix_fmt, codec, *size)
    assert (found.matrix, found.range) == expected


def test_rgb_is_full_range_whatever_the_tags_say():
    found = colour.resolve(ColourTags("bt709", "limited"), "rgb", "gbrp", "h264", 64, 64)
    assert (found.matrix, found.range) == ("rgb", "full")


@pytest.mark.parametrize("code", sorted(colour.UNSUPPORTED_MATRICES))
def test_a_matrix_that_is_no_matrix_is_refused_by_name(code):
    with pytest.raises(MediaError, match=colour.UNSUPPORTED_MATRICES[code]):
        colour.read_tags(code, 1, 2, 2)


def test_tags_and_numbers_are_inverse():
    for matrix in colour.MATRIX_CODES:
        tags = ColourTags(matrix, "full", "bt2020", "pq")
        assert colour.read_tags(*colour.codes_of(tags)) == tags
    assert colour.read_tags(*colour.codes_of(ColourTags())) == ColourTags()


def test_an_unknown_tag_is_refused_with_the_known_ones():
    with pytest.raises(MediaError, match="colour matrix must be one of rgb, bt709"):
        ColourTags(matrix="rec709")
