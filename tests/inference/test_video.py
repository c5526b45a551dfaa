"""restore_video from file to file."""

import json
import os
import shutil
from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from tests.inference.restorers import Between, Broken, Plain, Smooth, WholeClip
from tests.paths import SHARED_DATA, needs_shared_data
from tests.video.clips import encode, psnr, smooth_frames, uneven_times, write_gif, write_png
from tests.video.test_odd_files import READABLE, UNREADABLE
from vrestore.errors import MediaError, RequestError, VRestoreError
from vrestore.inference import restore_video
from vrestore.inference.progress import progress_bar
from vrestore.inference.report import peak_memory_bytes
from vrestore.restorers.capabilities import Scales
from vrestore.restorers.resample import ResampleRestorer
from vrestore.video import ColourTags, VideoReader, probe, read_clip

QUICK = {"preset": "ultrafast"}


def times_of(path):
    with VideoReader(path) as reader:
        return [t for block in reader.blocks(16) for t in block.times]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """12 frames of 80x48, tagged, with sound."""
    return encode(
        tmp_path_factory.mktemp("clip") / "in.mp4",
        smooth_frames(12, 48, 80),
        tags=ColourTags("bt709", "limited", "bt709", "bt709"),
        options={"crf": "4"},
        sound=True,
    )


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_a_file_is_restored_with_times_colours_and_sound(clip, tmp_path, name):
    report = restore_video(clip, tmp_path / name, Plain(2), block_frames=5, crf=4)
    info = probe(tmp_path / name)
    assert (info.width, info.height) == (160, 96) == report.size_out
    assert info.tags == probe(clip).tags
    assert info.has_audio
    assert info.fps == 25
    assert report.frames_in == report.frames_out == 12
    assert report.sound_streams == 1
    assert report.warnings == []
    shown = read_clip(tmp_path / name)[..., ::2, ::2]
    assert psnr(shown, read_clip(clip)) > 40
    start = info.start_time
    assert [t - start for t in times_of(tmp_path / name)] == times_of(clip)
    assert os.listdir(tmp_path) == [name]


def test_lossless_outputs_hold_exactly_what_the_model_gave(clip, tmp_path):
    expected = (Smooth().restore(read_clip(clip)) * 255).round().byte()
    for target in ("out.mkv", "frames"):
        codec = "ffv1" if target == "out.mkv" else None
        restore_video(clip, tmp_path / target, Smooth(), block_frames=5, codec=codec)
        assert torch.equal(read_clip(tmp_path / target, dtype="uint8"), expected)


def test_a_whole_clip_model_gets_the_whole_clip_and_says_so(clip, tmp_path):
    restorer = WholeClip()
    report = restore_video(clip, tmp_path / "out.mkv", restorer, block_frames=4, codec="ffv1")
    assert restorer.windows == [12]
    assert report.block_frames == 12
    assert "whole clip at once" in report.warnings[0]
    assert "block_frames=4 is not used" in report.warnings[1]
    expected = WholeClip().restore(read_clip(clip))
    assert (read_clip(tmp_path / "out.mkv") - expected).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("fps", "count", "rate"),
    [
        (50, 24, 50),
        (75.0, 36, 75),
        (59.94, 29, Fraction(60000, 1001)),
        (12.5, 6, Fraction(25, 2)),
        (25.0, 12, 25),
        (25.01, 12, 25),
    ],
)
def test_frame_rates(clip, tmp_path, fps, count, rate):
    restore_video(clip, tmp_path / "out.mp4", Plain(), fps=fps, block_frames=4, **QUICK)
    info = probe(tmp_path / "out.mp4")
    assert info.frame_count == count
    assert info.fps == pytest.approx(rate)
    assert not info.is_vfr
    assert times_of(tmp_path / "out.mp4") == [k / Fraction(rate) for k in range(count)]
    assert info.has_audio


def test_a_model_that_ends_on_the_last_frame(clip, tmp_path):
    report = restore_video(clip, tmp_path / "out.mp4", Between(), fps=50, block_frames=5, **QUICK)
    assert report.frames_out == 23
    assert times_of(tmp_path / "out.mp4") == [Fraction(k, 50) for k in range(23)]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_uneven_times_are_kept_and_divided(tmp_path, name):
    times = uneven_times(9)
    source = encode(tmp_path / "in.mp4", smooth_frames(9), times=times, time_base=Fraction(1, 90000))
    restore_video(source, tmp_path / name, Plain(), **QUICK)
    assert times_of(tmp_path / name) == times
    double = 2 * probe(source).fps
    restore_video(source, tmp_path / f"double_{name}", Plain(), fps=double, block_frames=4, **QUICK)
    found = times_of(tmp_path / f"double_{name}")
    assert found[::2] == times
    halves = [(a + b) / 2 for a, b in pairwise(times)]
    assert found[1:-1:2] == halves


def test_a_folder_in_and_a_folder_out(tmp_path):
    (tmp_path / "in").mkdir()
    for i, image in enumerate(smooth_frames(5, 20, 30)):
        write_png(tmp_path / "in" / f"f{i}.png", image)
    report = restore_video(tmp_path / "in", tmp_path / "out", Plain(2))
    assert report.fps_out is None
    assert (report.codec, report.pix_fmt) == ("png", "rgb24")
    assert torch.equal(read_clip(tmp_path / "out")[..., ::2, ::2], read_clip(tmp_path / "in"))
    restore_video(tmp_path / "in", tmp_path / "out.mp4", Plain(), folder_fps=29.97, **QUICK)
    info = probe(tmp_path / "out.mp4")
    assert info.fps == Fraction(30000, 1001)
    assert info.tags == ColourTags("bt709", "limited", "bt709", "bt709")


def test_sixteen_bit_frames_stay_sixteen_bit(tmp_path):
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "0.png", torch.rand(3, 12, 14), bits=16)
    report = restore_video(tmp_path / "in", tmp_path / "out", Plain())
    assert report.pix_fmt == "rgb48be"
    assert torch.equal(read_clip(tmp_path / "out"), read_clip(tmp_path / "in"))


def test_ten_bits_stay_ten_bits(tmp_path):
    tags = ColourTags("bt2020", "limited", "bt2020", "pq")
    source = encode(tmp_path / "in.mkv", smooth_frames(4, 48, 80), pix_fmt="yuv420p10le", tags=tags)
    report = restore_video(source, tmp_path / "out.mp4", Plain())
    info = probe(tmp_path / "out.mp4")
    assert (info.codec, info.bit_depth, info.tags) == ("hevc", 10, tags)
    assert any("H.265" in w for w in report.warnings)


def test_turned_and_stretched_sources(tmp_path):
    def turn(stream):
        stream.set_display_rotation(90)
        stream.codec_context.sample_aspect_ratio = Fraction(2)

    source = encode(tmp_path / "in.mp4", smooth_frames(3, 48, 64), prepare=turn)
    restore_video(source, tmp_path / "out.mp4", Plain(2), **QUICK)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.rotation) == (96, 128, 0)
    assert info.sample_aspect_ratio == probe(source).sample_aspect_ratio == Fraction(1, 2)


def test_a_target_size_keeps_the_shape_of_the_picture(tmp_path):
    def stretch(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2)

    source = encode(tmp_path / "in.mp4", smooth_frames(2, 64, 64), prepare=stretch)
    restore_video(source, tmp_path / "out.mp4", ResampleRestorer(), size=(64, 128), **QUICK)
    assert probe(tmp_path / "out.mp4").sample_aspect_ratio == 1


def test_transparency_is_left_out_knowingly(tmp_path):
    source = write_gif(tmp_path / "in.gif", smooth_frames(4, 32, 32))
    report = restore_video(source, tmp_path / "out.mkv", Plain(), codec="ffv1")
    assert torch.equal(read_clip(tmp_path / "out.mkv"), read_clip(source))
    assert any("transparency" in w for w in report.warnings)


def test_damage_is_told(tmp_path):
    source = encode(tmp_path / "in.mp4", smooth_frames(30), container={"movflags": "faststart"}, options={"bf": "0"})
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 3 // 4])
    report = restore_video(source, tmp_path / "out.mp4", Plain(), **QUICK)
    assert 0 < report.frames_out < 30
    assert report.frames_out == probe(tmp_path / "out.mp4").frame_count
    assert any("of its 30 frames" in w for w in report.warnings)


def test_report(clip, tmp_path):
    report = restore_video(clip, tmp_path / "out.mp4", Plain(), block_frames=5, **QUICK)
    assert report.seconds > report.seconds_restoring > 0
    assert report.seconds_per_frame == report.seconds / 12
    assert 50e6 < report.peak_memory_bytes <= peak_memory_bytes()
    data = json.loads(json.dumps(report.as_dict()))
    assert data["frames_out"] == 12
    assert data["fps_out"] == 25
    text = str(report)
    assert "12 frames of 80x48 at 25 fps, with sound (h264, yuv420p) by Plain from 12 of 80x48" in text
    assert "s a frame, peak memory" in text


def test_a_model_comes_from_the_zoo_by_name(clip, tmp_path):
    report = restore_video(clip, tmp_path / "out.mp4", "bicubic", scale=1.5, **QUICK)
    assert report.model == "bicubic"
    assert report.size_out == (120, 72)


# --- what cannot be done ---


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "frames"])
def test_frames_that_are_no_numbers_leave_nothing(clip, tmp_path, target):
    with pytest.raises(RequestError, match=r"no numbers \(NaN\) for input frames 5 to 9"):
        restore_video(clip, tmp_path / target, Broken(), block_frames=5)
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_old_output_alone(clip, tmp_path):
    restore_video(clip, tmp_path / "out.mp4", Plain(), **QUICK)
    before = (tmp_path / "out.mp4").read_bytes()
    with pytest.raises(RequestError, match="no numbers"):
        restore_video(clip, tmp_path / "out.mp4", Broken(), block_frames=5, overwrite=True)
    assert (tmp_path / "out.mp4").read_bytes() == before
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_an_interruption_leaves_nothing(clip, tmp_path):
    class Interrupted(Plain):
        def work(self, frames):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_video(clip, tmp_path / "out.mp4", Interrupted())
    assert os.listdir(tmp_path) == []


def test_an_existing_target_is_refused(clip, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(MediaError, match=r"exists already; choose another name or allow overwriting"):
        restore_video(clip, tmp_path / "out.mp4", Plain())
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    restore_video(clip, tmp_path / "out.mp4", Plain(), overwrite=True, **QUICK)
    assert probe(tmp_path / "out.mp4").frame_count == 12


def test_source_and_target_must_differ(clip, tmp_path):
    source = shutil.copy(clip, tmp_path / "in.mp4")
    os.symlink(source, tmp_path / "link.mp4")
    for target in ("in.mp4", "link.mp4", "../" + tmp_path.name + "/in.mp4"):
        with pytest.raises(MediaError, match="source and target are the same"):
            restore_video(source, tmp_path / target, Plain(), overwrite=True)
    (tmp_path / "frames").mkdir()
    write_png(tmp_path / "frames" / "0.png", torch.rand(3, 8, 8))
    with pytest.raises(MediaError, match="source and target are the same"):
        restore_video(tmp_path / "frames", tmp_path / "frames", Plain(), overwrite=True)
    assert probe(source).frame_count == 12


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"dst": "no/such/out.mp4"}, MediaError, "does not exist"),
        ({"dst": "out.webm"}, MediaError, "ends in '.webm'"),
        ({"codec": "ffv1"}, MediaError, "mp4 files do not take ffv1"),
        ({"crf": 70}, MediaError, "crf must be a number from 0"),
        (
            {"pix_fmt": "yuv420p", "model": Plain(1), "src_size": (49, 81)},
            MediaError,
            "the frames are 81x49; choose yuv444p",
        ),
        ({"scale": 3}, RequestError, "scale=3 is not served; this model serves scale 1"),
        ({"scale": -1}, RequestError, "scale must be a finite number"),
        ({"scale": 2, "size": (8, 8)}, RequestError, "give scale or size, not both"),
        ({"fps": 0}, RequestError, "fps must be a number of frames a second above 0, got 0"),
        ({"fps": "fast"}, RequestError, "got 'fast'"),
        ({"fps": 1000}, RequestError, "40 times the frame rate is not served"),
        ({"block_frames": 0}, RequestError, "block_frames must be a whole number of at least 1"),
        ({"precision": "fp8"}, RequestError, "precision must be one of"),
        ({"model": Plain(least_size_px=64)}, RequestError, "80x48 .* needs at least 64 pixels on each side"),
        ({"model": Plain(least_frames=20)}, RequestError, r"has 12 frame\(s\); this model needs at least 20"),
        (
            {"model": Plain(temporal_scales=Scales(fixed=(1.0,))), "fps": 50},
            RequestError,
            "2 times the frame rate is not",
        ),
        ({"model": "bicubicc"}, VRestoreError, "bicubicc"),
    ],
)
def test_requests_that_cannot_be_served(clip, tmp_path, given, error, sentence):
    given = {"model": Plain()} | given
    source = clip
    if "src_size" in given:
        source = encode(tmp_path / "in.mp4", smooth_frames(3, *given.pop("src_size")), pix_fmt="yuv444p")
    before = set(os.listdir(tmp_path))
    with pytest.raises(error, match=sentence) as caught:
        restore_video(source, tmp_path / given.pop("dst", "out.mp4"), **given)
    assert "\n" not in str(caught.value)
    assert set(os.listdir(tmp_path)) == before


def test_a_prompt_that_nobody_reads_is_told(clip, tmp_path):
    report = restore_video(clip, tmp_path / "out.mp4", Plain(), prompt="a cat", **QUICK)
    assert report.warnings == ["the prompt is not used: this model takes none"]


@pytest.mark.parametrize("name", ["missing.mp4", "empty.mp4", "text.mp4", "empty_folder"])
def test_sources_that_cannot_be_read(tmp_path, name):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty_folder").mkdir()
    with pytest.raises(MediaError, match=name):
        restore_video(tmp_path / name, tmp_path / "out.mp4", Plain())
    assert not (tmp_path / "out.mp4").exists()


def test_the_bar_is_shown_on_a_terminal_only(monkeypatch, capsys):
    with progress_bar("clip.mp4", 3) as move_to:
        move_to(3)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # Rich takes this for a terminal
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("clip.mp4", 3) as move_to:
        move_to(2)
    shown = capsys.readouterr().err
    assert "clip.mp4" in shown
    assert "2/3" in shown
    assert "left:" in shown
    with progress_bar("clip.mp4", 3, shown=False) as move_to:
        move_to(2)
    assert capsys.readouterr().err == ""


# --- every odd file ---


@needs_shared_data
@pytest.mark.parametrize("name", READABLE)
def test_odd_files_are_restored_whole(tmp_path, name):
    count, width, height, _ = READABLE[name]
    source = SHARED_DATA / "odd" / name
    report = restore_video(source, tmp_path / "out.mp4", Plain(), block_frames=6, **QUICK)
    info = probe(tmp_path / "out.mp4")
    assert report.frames_out == report.frames_in == info.frame_count == count
    assert (info.width, info.height) == (width, height)
    assert info.has_audio == probe(source).has_audio
    assert info.sample_aspect_ratio == probe(source).sample_aspect_ratio
    assert times_of(tmp_path / "out.mp4") == pytest.approx(times_of(source), abs=0.001)


@needs_shared_data
@pytest.mark.parametrize("name", UNREADABLE)
def test_odd_files_that_cannot_be_read_leave_nothing(tmp_path, name):
    with pytest.raises(MediaError, match=UNREADABLE[name]):
        restore_video(SHARED_DATA / "odd" / name, tmp_path / "out.mp4", Plain())
    assert os.listdir(tmp_path) == []
