"""Writing: what went in comes out, whole or not at all."""

import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.video.clips import psnr, smooth_frames, uneven_times
from vrestore.errors import MediaError
from vrestore.video import ColourTags, VideoReader, VideoWriter, probe, read_clip
from vrestore.video.encode import tick_for


def write(path, frames, times=None, **options):
    with VideoWriter(path, **options) as writer:
        half = len(frames) // 2 or 1
        writer.write(frames[:half], None if times is None else times[:half])
        if len(frames) > half:
            writer.write(frames[half:], None if times is None else times[half:])
    return writer


def random_codes(bits, count=3, height=19, width=23):
    return torch.from_numpy(np.random.default_rng(bits).integers(0, 2**bits, (count, 3, height, width)))


@pytest.mark.parametrize("target", ["a.mkv", "frames"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_lossless_outputs_are_bit_exact(tmp_path, target, bits):
    codes = random_codes(bits)
    peak = 2**bits - 1
    frames = (codes.double() / peak).float()
    codec = "ffv1" if target == "a.mkv" else None
    write(tmp_path / target, frames, codec=codec, bit_depth=bits)
    found = read_clip(tmp_path / target)
    assert torch.equal((found.double() * peak).round().long(), codes)
    if bits == 8:
        assert torch.equal(found, codes.float() / 255)
        assert torch.equal(read_clip(tmp_path / target, dtype="uint8"), codes.byte())


def test_uint8_frames_are_taken_as_they_are(tmp_path):
    codes = random_codes(8).byte()
    write(tmp_path / "a.mkv", codes, codec="ffv1")
    assert torch.equal(read_clip(tmp_path / "a.mkv", dtype="uint8"), codes)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(height=st.integers(1, 40), width=st.integers(1, 40), count=st.integers(1, 4), folder=st.booleans())
def test_any_size_is_lossless(tmp_path_factory, height, width, count, folder):
    codes = random_codes(8, count, height, width).byte()
    path = tmp_path_factory.mktemp("any") / ("frames" if folder else "a.mkv")
    write(path, codes, codec=None if folder else "ffv1")
    assert torch.equal(read_clip(path, dtype="uint8"), codes)


@pytest.mark.parametrize(
    ("name", "options", "codec", "pix_fmt", "least_db"),
    [
        ("a.mp4", {}, "h264", "yuv420p", 40),
        ("a.mkv", {"crf": 4}, "h264", "yuv420p", 47),
        ("a.mov", {"codec": "h265"}, "hevc", "yuv420p", 38),
        ("a.mp4", {"codec": "h265", "bit_depth": 10, "crf": 4}, "hevc", "yuv420p10le", 48),
        ("a.mp4", {"pix_fmt": "yuv444p", "crf": 4}, "h264", "yuv444p", 45),
        ("a.mp4", {"pix_fmt": "yuv420p10", "crf": 4}, "h264", "yuv420p10le", 48),
        ("a.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p"}, "ffv1", "yuv420p", 49),
        ("a.mkv", {"codec": "ffv1", "pix_fmt": "yuv422p10le"}, "ffv1", "yuv422p10le", 54),
    ],
)
def test_lossy_outputs_keep_the_picture(tmp_path, name, options, codec, pix_fmt, least_db):
    frames = smooth_frames(6, 64, 80)
    writer = write(tmp_path / name, frames, **options)
    info = probe(tmp_path / name)
    assert (info.codec, info.pix_fmt) == (codec, pix_fmt)
    assert writer.warnings == []
    assert psnr(read_clip(tmp_path / name), frames) > least_db


def test_odd_sides_are_kept_with_full_size_colour(tmp_path):
    writer = write(tmp_path / "a.mp4", smooth_frames(3, 49, 65))
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.pix_fmt) == (65, 49, "yuv444p")
    assert "4:2:0 needs even sides" in writer.warnings[0]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize(
    "tags",
    [
        ColourTags("bt601", "limited", "smpte170m", "smpte170m"),
        ColourTags("bt709", "full", "bt709", "srgb"),
        ColourTags("bt2020", "limited", "bt2020", "pq"),
    ],
)
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_colour_tags_are_written_and_true(tmp_path, name, tags, codec):
    frames = smooth_frames(3, 64, 64)
    writer = write(tmp_path / name, frames, colour=tags, crf=4, codec=codec)
    assert probe(tmp_path / name).tags == tags == writer.tags
    assert psnr(read_clip(tmp_path / name), frames) > 44


def test_rgb_codecs_are_tagged_as_rgb_of_full_range(tmp_path):
    write(tmp_path / "a.mkv", smooth_frames(2), codec="ffv1")
    tags = probe(tmp_path / "a.mkv").tags
    assert (tags.matrix, tags.range, tags.primaries) == ("rgb", "full", "bt709")


def test_apple_players_find_h265(tmp_path):
    write(tmp_path / "a.mp4", smooth_frames(2, 64, 64), codec="h265")
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("fps", [25, Fraction(24000, 1001), Fraction(30000, 1001), 120, Fraction(25, 2)])
def test_frame_rates_are_kept(tmp_path, name, fps):
    write(tmp_path / name, smooth_frames(9), fps=fps)
    info = probe(tmp_path / name)
    assert info.fps == fps
    assert not info.is_vfr
    with VideoReader(tmp_path / name) as reader:
        for i, time in enumerate(next(reader.blocks(9)).times):
            assert abs(time - i / Fraction(fps)) <= (Fraction(1, 2000) if name == "a.mkv" else 0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_uneven_times_are_kept(tmp_path, name):
    times = [2 + t for t in uneven_times(9)]
    write(tmp_path / name, smooth_frames(9), times, fps=10, end_time=times[-1] + Fraction(1, 2))
    with VideoReader(tmp_path / name) as reader:
        assert reader.info.is_vfr
        assert next(reader.blocks(9)).times == times
    if name == "a.mp4":  # counts by decoding times, which B-frames shift a little against showing times
        assert abs(probe(tmp_path / name).duration - (times[-1] + Fraction(1, 2) - times[0])) < Fraction(1, 8)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("bits", [8, 10])
def test_very_short_clips(tmp_path, codec, count, bits):
    frames = torch.rand(count, 3, 64, 96)
    write(tmp_path / "a.mp4", frames, codec=codec, bit_depth=bits)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert next(reader.blocks(5)).times == [Fraction(i, 25) for i in range(count)]


@pytest.mark.parametrize(
    "fps", [Fraction(24000, 1001), Fraction(25), Fraction(1), Fraction(23040000, 767849), Fraction(1, 7)]
)
def test_ticks_hit_every_frame_and_are_fine(fps):
    tick = tick_for(fps)
    assert (1 / fps / tick).denominator == 1
    assert tick <= Fraction(1, 90000)


def test_png_names_sort_and_start_at_zero(tmp_path):
    write(tmp_path / "frames", smooth_frames(3))
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == [f"{i:08d}.png" for i in range(3)]


def test_shape_of_pixels_is_written(tmp_path):
    write(tmp_path / "a.mp4", smooth_frames(2), sample_aspect_ratio=Fraction(4, 3))
    assert probe(tmp_path / "a.mp4").sample_aspect_ratio == Fraction(4, 3)


class Stop(Exception):
    pass


@pytest.mark.parametrize("target", ["a.mp4", "a.mkv", "frames"])
@pytest.mark.parametrize("frames_before", [0, 2])
def test_a_failure_leaves_nothing(tmp_path, target, frames_before):
    def fail():
        with VideoWriter(tmp_path / target) as writer:
            for frame in smooth_frames(frames_before):
                writer.write(frame[None])
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("target", ["a.mp4", "frames"])
def test_a_failure_leaves_the_old_output_alone(tmp_path, target):
    write(tmp_path / target, smooth_frames(3))
    before = read_clip(tmp_path / target)

    def fail():
        with VideoWriter(tmp_path / target, overwrite=True) as writer:
            writer.write(smooth_frames(2, seed=5))
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert os.listdir(tmp_path) == [target]
    assert torch.equal(read_clip(tmp_path / target), before)


@pytest.mark.parametrize("target", ["a.mp4", "frames"])
def test_a_check_that_fails_keeps_the_output_from_its_place(tmp_path, target):
    seen = []

    def check(path):
        seen.append(probe(path).frame_count)
        raise MediaError("not as promised")

    with pytest.raises(MediaError, match="not as promised"):
        write(tmp_path / target, smooth_frames(3), check=check)
    assert seen == [3]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("target", ["a.mp4", "frames"])
def test_overwriting_must_be_allowed(tmp_path, target):
    write(tmp_path / target, smooth_frames(4))
    with pytest.raises(MediaError, match="allow overwriting"):
        VideoWriter(tmp_path / target)
    write(tmp_path / target, smooth_frames(2), overwrite=True)
    assert len(read_clip(tmp_path / target)) == 2
    assert os.listdir(tmp_path) == [target]


def test_a_folder_that_holds_more_than_frames_is_never_replaced(tmp_path):
    write(tmp_path / "frames", smooth_frames(1))
    (tmp_path / "frames" / "thesis.tex").write_text("precious")
    with pytest.raises(MediaError, match=r"holds more than frames \('thesis"):
        VideoWriter(tmp_path / "frames", overwrite=True)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "frames").mkdir()
    write(tmp_path / "frames", smooth_frames(2))
    assert len(read_clip(tmp_path / "frames")) == 2


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("no/such/a.mp4", "the folder '.*such' does not exist"),
        ("file/a.mp4", "does not exist"),
        ("file", "is a file, so"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, target, sentence):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(MediaError, match=sentence):
        VideoWriter(tmp_path / target)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(MediaError, match="no permission"):
            VideoWriter(tmp_path / "a.mp4")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (torch.rand(3, 8, 8), r"shape \(T, 3, H, W\) with 3 RGB channels, got \(3, 8, 8\)"),
        (torch.rand(1, 1, 8, 8), "with 3 RGB channels"),
        (torch.rand(0, 3, 8, 8), "with 3 RGB channels"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int32), "floating point in .0, 1. or uint8, got torch.int32"),
        (torch.full((1, 3, 8, 8), float("nan")), "frame 2 holds values that are no numbers"),
        (torch.full((1, 3, 8, 8), float("inf")), "frame 2 holds values that are no numbers"),
        (torch.rand(1, 3, 10, 8), r"frame 2 is 8x10 \(width x height\) but the video has 8x8"),
    ],
)
def test_frames_that_cannot_be_written(tmp_path, frames, sentence):
    def attempt():
        with VideoWriter(tmp_path / "a.mkv", codec="ffv1") as writer:
            writer.write(torch.rand(2, 3, 8, 8))
            writer.write(frames)

    with pytest.raises(MediaError, match=sentence):
        attempt()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("times", "sentence"),
    [([0, 0], "must increase"), ([1, Fraction(1, 2)], "must increase"), ([0], "2 frames came with 1 times")],
)
def test_times_that_cannot_be_written(tmp_path, times, sentence):
    with pytest.raises(MediaError, match=sentence):
        write(tmp_path / "a.mp4", smooth_frames(4), [*times, 2, 3])
    with pytest.raises(MediaError, match=sentence), VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(smooth_frames(2), times)
    assert os.listdir(tmp_path) == []


def test_no_frame_is_no_video(tmp_path):
    with pytest.raises(MediaError, match="no frame came"), VideoWriter(tmp_path / "a.mp4"):
        pass
    assert os.listdir(tmp_path) == []


def test_wrong_options_fail_before_the_first_frame(tmp_path):
    for options in ({"crf": 99}, {"codec": "h266"}, {"pix_fmt": "yuv5"}, {"fps": 0}, {"preset": "quick"}):
        with pytest.raises(MediaError):
            VideoWriter(tmp_path / "a.mp4", **options)
    assert os.listdir(tmp_path) == []
