"""Reading in blocks and by number."""

import resource
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.video.clips import FRAMES_OF_A_KIND, KINDS, encode, psnr, smooth_frames, uneven_times
from vrestore.errors import MediaError
from vrestore.video import ColourTags, VideoReader, read_clip
from vrestore.video.decode import Decoding

# What each lossy encoder keeps of the smooth clip at its default quality, in dB; far above what a wrong matrix gives.
LEAST_DB = {"ffv1_gray": None, "gif": 20, "prores": 50, "mpeg4_avi": 32, "mjpeg": 32}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_shows_the_frames_that_went_in(library, kind):
    frames = read_clip(library[kind])
    assert frames.dtype == torch.float32
    assert 0 <= frames.min() <= frames.max() <= 1
    source = smooth_frames(FRAMES_OF_A_KIND, *frames.shape[2:])
    if kind == "ffv1_gray":
        luma = (source * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
        assert psnr(frames, luma.expand_as(frames)) > 55
    else:
        assert psnr(frames, source) > LEAST_DB.get(kind, 35)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_access_equals_reading_in_order(library, data):
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    threads = data.draw(st.sampled_from([1, 1, 2]))
    with VideoReader(library[kind]) as reader:
        whole = next(reader.blocks(FRAMES_OF_A_KIND))
    with VideoReader(library[kind], threads=threads) as reader:
        assert reader.frame_count == FRAMES_OF_A_KIND
        for _ in range(data.draw(st.integers(1, 4))):  # one reader, several calls: seeks, and goes on where it was
            start = data.draw(st.integers(0, FRAMES_OF_A_KIND - 1))
            count = data.draw(st.integers(1, FRAMES_OF_A_KIND - start))
            block = reader.read(start, count)
            assert block.start == start
            assert torch.equal(block.frames, whole.frames[start : start + count])
            assert block.times == whole.times[start : start + count]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(KINDS)), size=st.integers(1, FRAMES_OF_A_KIND + 3))
def test_the_size_of_blocks_changes_nothing(library, kind, size):
    with VideoReader(library[kind]) as reader:
        blocks = list(reader.blocks(size))
    assert [b.start for b in blocks] == list(range(0, FRAMES_OF_A_KIND, size))
    assert torch.equal(torch.cat([b.frames for b in blocks]), read_clip(library[kind]))
    times = [t for b in blocks for t in b.times]
    assert len(times) == FRAMES_OF_A_KIND
    assert all(a < b for a, b in pairwise(times))


@pytest.mark.parametrize("kind", ["h264", "hevc_10bit", "gif", "h264_444_odd"])
def test_uint8_is_the_rounded_float(library, kind):
    floats = read_clip(library[kind], 2, 5)
    assert torch.equal(read_clip(library[kind], 2, 5, dtype="uint8"), (floats * 255).round().to(torch.uint8))


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("range_name", ["limited", "full"])
def test_the_streams_own_matrix_and_range_are_used(tmp_path, matrix, range_name):
    frames = smooth_frames(2, 64, 64)
    path = encode(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="yuv444p10le", tags=ColourTags(matrix, range_name))
    assert psnr(read_clip(path), frames) > 60


def test_full_and_limited_range_show_the_same_colours(tmp_path):
    frames = smooth_frames(4, 64, 64)
    options = {"crf": "4"}
    full = encode(tmp_path / "full.mp4", frames, options=options, tags=ColourTags("bt601", "full"))
    limited = encode(tmp_path / "limited.mp4", frames, options=options)
    assert psnr(read_clip(full), read_clip(limited)) > 45
    assert abs(float((read_clip(full) - read_clip(limited)).mean())) * 255 < 0.5


def test_uneven_times_are_kept(library):
    with VideoReader(library["vfr"]) as reader:
        assert next(reader.blocks(99)).times == uneven_times(FRAMES_OF_A_KIND)
        assert reader.read(3, 4).times == uneven_times(FRAMES_OF_A_KIND)[3:7]


def test_a_late_start_is_kept(tmp_path):
    times = [5 + Fraction(i, 25) for i in range(6)]
    path = encode(tmp_path / "late.mp4", smooth_frames(6), times=times, time_base=Fraction(1, 12800))
    with VideoReader(path) as reader:
        assert next(reader.blocks(10)).times == times


def test_an_edit_list_hides_frames(tmp_path):
    """Frames before time 0 are preroll: MP4 says so by an edit list."""
    times = [Fraction(i - 3, 25) for i in range(12)]
    frames = smooth_frames(12)
    path = encode(
        tmp_path / "edit.mp4",
        frames,
        times=times,
        time_base=Fraction(1, 12800),
        options={"bf": "0", "crf": "2"},
        container={"avoid_negative_ts": "disabled"},
    )
    found = read_clip(path)
    assert len(found) == 9
    assert psnr(found[0], frames[3]) > 38
    with VideoReader(path) as reader:
        assert reader.frame_count == 9
        assert torch.equal(reader.read(4, 2).frames, found[4:6])
        assert reader.read(0, 1).times == [0]


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, FRAMES_OF_A_KIND + 1), (FRAMES_OF_A_KIND, 1), (3, 0)])
def test_frames_that_are_not_there(library, start, count):
    with pytest.raises(MediaError, match="has 17 frame"):
        read_clip(library["h264"], start, count)


def test_wrong_arguments(library):
    with pytest.raises(MediaError, match="float32 or uint8"):
        read_clip(library["h264"], dtype="float64")
    with VideoReader(library["h264"]) as reader, pytest.raises(MediaError, match="at least one frame"):
        next(reader.blocks(0))


def test_blocks_and_random_access_do_not_disturb_each_other(library):
    whole = read_clip(library["h264_short_gops"])
    with VideoReader(library["h264_short_gops"]) as reader:
        for block in reader.blocks(4):
            other = (block.start * 5 + 3) % FRAMES_OF_A_KIND
            assert torch.equal(reader.read(other, 1).frames[0], whole[other])
            assert torch.equal(block.frames, whole[block.start : block.start + len(block)])


def test_a_size_that_changes_on_the_way_is_refused(tmp_path):
    first = encode(tmp_path / "a.ts", smooth_frames(4, 48, 64)).read_bytes()
    second = encode(tmp_path / "b.ts", smooth_frames(4, 64, 64)).read_bytes()
    (tmp_path / "both.ts").write_bytes(first + second)
    with pytest.raises(MediaError, match=r"is 64x64 \(width x height\) where the first one is 64x48"):
        read_clip(tmp_path / "both.ts")


def test_a_file_that_is_replaced_is_read_anew(tmp_path):
    path = encode(tmp_path / "a.mp4", smooth_frames(4))
    with VideoReader(path) as reader:
        assert reader.frame_count == 4
    encode(path, smooth_frames(7, seed=1))
    with VideoReader(path) as reader:
        assert reader.frame_count == 7
        assert psnr(reader.read(6, 1).frames, smooth_frames(7, seed=1)[6:]) > 33


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory as Linux does")
def test_memory_is_bounded_by_the_block(tmp_path):
    """80 frames of 320x180 are 55 MB as float32; a block of two is 1.4."""
    frames = smooth_frames(1, 180, 320).expand(80, -1, -1, -1)
    path = encode(tmp_path / "long.mp4", frames, options={"preset": "ultrafast"})
    with VideoReader(path) as reader:
        next(reader.blocks(2))
        before = resident_bytes()
        grown = [resident_bytes() - before for _ in reader.blocks(2)]
    assert len(grown) == 40
    assert max(grown) < 15e6


@pytest.mark.parametrize("kind", ["h264_short_gops", "h264_open_gop", "h264_ts", "vp9"])
def test_a_window_at_the_end_is_decoded_from_its_keyframe(library, kind, monkeypatch):
    """Few frames are decoded, and only those that are asked for are converted; all equal those of a full decode."""
    whole = read_clip(library[kind], dtype="uint8")
    decoded, converted = [], []
    frames, convert = Decoding.frames, VideoReader._convert

    def counted(self):
        for frame in frames(self):
            decoded.append(frame.pts)
            yield frame

    def noted(self, frame, number, target):
        converted.append(number)
        convert(self, frame, number, target)

    with VideoReader(library[kind], dtype="uint8") as reader:
        index = reader.index
        monkeypatch.setattr(Decoding, "frames", counted)
        monkeypatch.setattr(VideoReader, "_convert", noted)
        start = len(whole) - 3
        assert torch.equal(reader.read(start, 2, stride=2).frames, whole[start::2])
    assert converted == [start, start + 2]
    key = max((k for k in index.keys if k <= index.pts[start]), default=index.pts[0])
    from_key = sum(pts >= key for pts in index.pts)
    assert len(decoded) <= from_key + 2  # with those that an open group shows before its keyframe
    assert len(decoded) < len(whole)


def test_every_other_frame(library):
    for kind in ("h264_short_gops", "gif"):
        whole = read_clip(library[kind])
        assert torch.equal(read_clip(library[kind], 1, stride=3), whole[1::3])
        with pytest.raises(MediaError, match="were asked"):
            read_clip(library[kind], 0, len(whole), stride=2)
