"""Every unusual or broken file of the reference clips, each with what is expected of it."""

import itertools
from fractions import Fraction

import pytest
import torch

from tests.paths import SHARED_DATA, needs_shared_data
from tests.video.clips import psnr
from vrestore.errors import MediaError
from vrestore.video import VideoReader, count_frames, probe, read_clip

ODD = SHARED_DATA / "odd"
pytestmark = needs_shared_data

# name: (frames, width, height), and what is particular.
READABLE: dict[str, tuple[int, int, int, dict]] = {
    "alpha.webm": (10, 240, 136, {"has_alpha": True}),
    "anamorphic.mp4": (15, 160, 180, {"sample_aspect_ratio": 2}),
    "audio_video.mp4": (30, 320, 180, {"has_audio": True}),
    "bear_odd_161x121_vp9.webm": (30, 161, 121, {"codec": "vp9", "fps": Fraction(2997, 100)}),
    "black.mp4": (10, 128, 72, {}),
    "clip.gif": (10, 160, 90, {"fps": 10}),
    "clip.mkv": (20, 320, 180, {}),
    "clip_mjpeg.avi": (12, 320, 180, {"siting": "center", "pix_fmt": "yuvj420p"}),
    "corrupt_middle.ts": (37, 320, 180, {"is_vfr": False}),
    "edit_list_preroll.mp4": (16, 640, 360, {"frame_count": 16, "has_audio": True}),
    "fps_120.mp4": (24, 320, 180, {"fps": 120}),
    "fps_ntsc.mp4": (18, 320, 180, {"fps": Fraction(24000, 1001)}),
    "frames_16bit": (2, 160, 90, {"bit_depth": 16, "kind": "folder", "fps": None}),
    "frames_gap": (6, 160, 90, {"kind": "folder"}),
    "full_range_bt601.mp4": (15, 320, 180, {}),
    "gray.mkv": (6, 192, 108, {"pix_fmt": "gray"}),
    "h264_high10.mp4": (30, 200, 200, {"bit_depth": 10, "fps": 30}),
    "hevc_10bit.mp4": (20, 320, 180, {"bit_depth": 10, "codec": "hevc"}),
    "interlaced_tff.mpg": (25, 320, 240, {"interlaced": True}),
    "odd_dims_420.webm": (15, 317, 179, {}),
    "odd_dims_444.mp4": (15, 321, 181, {"pix_fmt": "yuv444p"}),
    "prores.mov": (5, 240, 136, {"bit_depth": 10, "codec": "prores"}),
    "rotate90.mp4": (20, 180, 320, {"rotation": 270, "coded_width": 320, "coded_height": 180}),
    "scene_cut.mp4": (20, 320, 180, {}),
    "single_frame.mp4": (1, 320, 180, {}),
    "space and ünïcode.mp4": (6, 160, 90, {}),
    "start_offset.mp4": (20, 320, 180, {"start_time": 5}),
    "static.mp4": (20, 320, 180, {}),
    "tiny_16x16.mp4": (8, 16, 16, {}),
    "truncated_faststart.mp4": (19, 320, 180, {}),
    "two_frames.mp4": (2, 320, 180, {}),
    "vfr.mp4": (20, 320, 180, {"is_vfr": True, "fps": Fraction(250, 17)}),
    "with_cover_art.mp4": (12, 320, 180, {"codec": "h264"}),
}
UNREADABLE = {
    "audio_only.mp4": "holds only sound",
    "empty.mp4": r"is empty \(0 bytes\)",
    "frames_mixed": r"differ in size: 1\.png is 160x90 .* 10\.jpg is 128x72",
    "not_a_video.mp4": "is not a video that can be read",
    "truncated_no_moov.mp4": "is not a video that can be read",
}
WARNINGS = {
    "corrupt_middle.ts": ["is damaged", "1 frame(s) are missing"],
    "frames_gap": ["4, 7 to 8"],
    "interlaced_tff.mpg": ["is interlaced"],
    "truncated_faststart.mp4": ["only 19 of its 38 frames", "is damaged"],
}


def test_every_file_is_expected_to_be_something():
    assert {p.name for p in ODD.iterdir()} == set(READABLE) | set(UNREADABLE)


@pytest.mark.parametrize("name", READABLE)
def test_readable(name):
    count, width, height, particular = READABLE[name]
    info = probe(ODD / name)
    assert {field: getattr(info, field) for field in particular} == particular
    assert info.frame_count in (None, count)
    assert count_frames(ODD / name) == count
    with VideoReader(ODD / name) as reader:
        blocks = list(reader.blocks(7))
        frames = torch.cat([block.frames for block in blocks])
        times = [time for block in blocks for time in block.times]
        assert tuple(frames.shape) == (count, 3, height, width)
        assert all(b - a > 0 for a, b in itertools.pairwise(times))
        assert reader.frame_count == count
        for start in {0, count // 2, count - 1}:
            assert torch.equal(reader.read(start, 1).frames[0], frames[start])
        told = reader.warnings
    expected = WARNINGS.get(name, [])
    assert len(told) == len(expected)
    assert all(any(part in sentence for sentence in told) for part in expected)


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("ask", [probe, read_clip])
def test_unreadable(name, ask):
    with pytest.raises(MediaError, match=UNREADABLE[name]) as caught:
        ask(ODD / name)
    assert "\n" not in str(caught.value)


def test_full_range_shows_the_colours_of_its_limited_range_twin():
    full, limited = read_clip(ODD / "full_range_bt601.mp4"), read_clip(ODD / "clip.mkv", 0, 15)
    assert psnr(full, limited) > 35
    assert (full - limited).mean((0, 2, 3)).abs().max() * 255 < 0.6


def test_black_is_black():
    assert read_clip(ODD / "black.mp4").max() == 0


def test_static_is_static():
    frames = read_clip(ODD / "static.mp4")
    assert (frames - frames[:1]).abs().max() < 0.04


def test_a_late_start_stays_late_and_a_broadcast_starts_at_zero():
    with VideoReader(ODD / "start_offset.mp4") as reader:
        assert reader.read(0, 1).times == [5]
    with VideoReader(ODD / "corrupt_middle.ts") as reader:
        assert reader.read(0, 1).times == [0]


def test_uneven_times_are_those_of_the_file():
    ticks = [0, 7200, 10800, 18000, 21600, 25200, 28800, 36000, 39600, 43200, 46800, 82800, 86400, 90000, 93600]
    with VideoReader(ODD / "vfr.mp4") as reader:
        assert reader.read(0, 15).times == [Fraction(t, 90000) for t in ticks]


def test_a_hidden_preroll_frame_is_not_shown():
    with VideoReader(ODD / "edit_list_preroll.mp4") as reader:
        assert reader.read(0, 1).times == [0]
