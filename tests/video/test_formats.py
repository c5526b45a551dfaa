"""Choosing codec, pixel format and quality."""

import pytest

from vrestore.errors import MediaError
from vrestore.video.formats import DEFAULT_CRF, codec_for, is_folder_target, plan_encoding


@pytest.mark.parametrize(
    ("path", "asked", "codec"),
    [
        ("a.mp4", None, "h264"),
        ("a.MOV", None, "h264"),
        ("a.mkv", None, "h264"),
        ("a.m4v", "hevc", "h265"),
        ("a.mkv", "libx265", "h265"),
        ("a.mkv", "FFV1", "ffv1"),
        ("frames", None, "png"),
        ("frames", "png", "png"),
    ],
)
def test_codec_by_suffix(path, asked, codec):
    assert codec_for(path, asked) == codec


@pytest.mark.parametrize(
    ("path", "asked", "sentence"),
    [
        ("a.mp4", "ffv1", r"\.mp4 files do not take ffv1; write ffv1 to a file ending in \.mkv"),
        ("a.mkv", "png", "write png to a folder"),
        ("a.webm", None, r"ends in '\.webm'; write to \.mp4"),
        ("a.mp3", None, r"did you mean '\.mp4'"),
        (
            "frames",
            "h264",
            r"means a folder of PNG files, which cannot hold h264; name a file, for example 'frames\.mkv'",
        ),
        ("a.mp4", "vp9", "codec must be h264, h265, ffv1 or png, got 'vp9'"),
    ],
)
def test_a_codec_that_does_not_fit_is_refused(path, asked, sentence):
    with pytest.raises(MediaError, match=sentence):
        codec_for(path, asked)


def test_a_folder_is_one_by_name_or_by_being_there(tmp_path):
    (tmp_path / "v1.2").mkdir()
    assert is_folder_target(tmp_path / "v1.2")
    assert is_folder_target("new_folder")
    assert not is_folder_target("a.mp4")


@pytest.mark.parametrize(
    ("path", "codec", "depth", "size", "expected"),
    [
        ("a.mp4", None, 8, (64, 48), ("h264", "yuv420p")),
        ("a.mp4", None, 8, (65, 48), ("h264", "yuv444p")),
        ("a.mp4", None, 10, (64, 48), ("h265", "yuv420p10le")),
        ("a.mp4", None, 16, (64, 49), ("h265", "yuv444p10le")),
        ("a.mp4", None, 10, (48, 48), ("h264", "yuv420p10le")),
        ("a.mp4", "h264", 10, (64, 48), ("h264", "yuv420p10le")),
        ("a.mkv", "ffv1", 8, (65, 49), ("ffv1", "bgr0")),
        ("a.mkv", "ffv1", 9, (64, 48), ("ffv1", "gbrp10le")),
        ("a.mkv", "ffv1", 16, (64, 48), ("ffv1", "gbrp16le")),
        ("frames", None, 8, (65, 49), ("png", "rgb24")),
        ("frames", None, 10, (64, 48), ("png", "rgb48be")),
    ],
)
def test_pixel_format_by_depth_and_size(path, codec, depth, size, expected):
    plan = plan_encoding(path, *size, codec=codec, bit_depth=depth)
    assert (plan.codec, plan.pix_fmt) == expected
    assert plan.lossless == (plan.codec in ("ffv1", "png"))


def test_what_a_person_may_not_expect_is_told():
    assert plan_encoding("a.mp4", 64, 48).reasons == []
    assert "4:2:0 needs even sides" in plan_encoding("a.mp4", 65, 48).reasons[0]
    reasons = plan_encoding("a.mp4", 64, 48, bit_depth=12).reasons
    assert "written as H.265" in reasons[0]
    assert "written with 10 bits" in reasons[1]


def test_quality_options():
    assert plan_encoding("a.mp4", 64, 48).options["crf"] == str(DEFAULT_CRF["h264"])
    assert plan_encoding("a.mp4", 64, 48, codec="h265", crf=22.5, preset="slow").options["crf"] == "22.5"
    assert plan_encoding("a.mp4", 64, 48, preset="slow").options["preset"] == "slow"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"crf": 52}, r"crf must be a number from 0 \(lossless\) to 51 \(worst\), got 52"),
        ({"crf": -1}, "got -1"),
        ({"crf": "high"}, "got 'high'"),
        ({"crf": True}, "got True"),
        ({"preset": "slwo"}, r"preset must be one of ultrafast.* got 'slwo'; did you mean 'slow'"),
        ({"pix_fmt": "yuv421p"}, r"h264 does not write pixel format 'yuv421p'; it writes yuv420p"),
        ({"pix_fmt": "yuvj420p"}, "does not write pixel format 'yuvj420p'"),
        ({"pix_fmt": "gbrp"}, "does not write pixel format 'gbrp'"),
        ({"codec": "h265", "size": (63, 48)}, "at least 64 pixels wide"),
        ({"pix_fmt": "yuv420p", "size": (65, 48)}, "the frames are 65x48; choose yuv444p or another size"),
        ({"pix_fmt": "yuv420p10", "size": (64, 47)}, "choose yuv444p10le"),
        ({"codec": "ffv1", "crf": 10, "path": "a.mkv"}, "ffv1 is lossless and takes no crf"),
        ({"crf": 1, "preset": "slow", "path": "frames"}, "png is lossless and takes no crf and no preset"),
    ],
)
def test_combinations_that_do_not_work(arguments, sentence):
    size = arguments.pop("size", (64, 48))
    with pytest.raises(MediaError, match=sentence):
        plan_encoding(arguments.pop("path", "a.mp4"), *size, **arguments)


def test_short_names_of_deep_formats_are_taken():
    assert plan_encoding("a.mp4", 64, 48, pix_fmt="yuv444p10").pix_fmt == "yuv444p10le"
    assert plan_encoding("a.mkv", 65, 49, codec="ffv1", pix_fmt="yuv420p").pix_fmt == "yuv420p"
