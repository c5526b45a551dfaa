"""What is known of a file before it is read."""

from fractions import Fraction

import av
import pytest

from tests.video.clips import FRAMES_OF_A_KIND, KINDS, encode, jpeg_bytes, smooth_frames, tone_packets
from vrestore.errors import MediaError
from vrestore.video import ColourTags, count_frames, probe


@pytest.mark.parametrize("kind", KINDS)
def test_count_and_size_of_every_kind(library, kind):
    info = probe(library[kind])
    assert (info.width, info.height) == ((81, 49) if kind.endswith("odd") else (80, 48))
    assert info.frame_count in (None, FRAMES_OF_A_KIND)
    assert count_frames(library[kind]) == FRAMES_OF_A_KIND
    assert info.is_vfr == (kind == "vfr")
    assert info.warnings == ()
    assert info.kind == "file"


@pytest.mark.parametrize(
    ("kind", "fps"), [("h264", 25), ("h264_ts", 25), ("vp9", 25), ("mpeg2_ps", 25), ("gif", 10), ("mjpeg", 25)]
)
def test_frame_rate(library, kind, fps):
    assert probe(library[kind]).fps == fps


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(120), Fraction(15, 2)])
def test_rates_are_exact_fractions(tmp_path, fps):
    info = probe(encode(tmp_path / "a.mp4", smooth_frames(6, 32, 32), fps=fps))
    assert info.fps == fps
    assert not info.is_vfr
    assert info.frame_step == 1 / fps


@pytest.mark.parametrize(
    ("kind", "pix_fmt", "bits"),
    [
        ("hevc_10bit", "yuv420p10le", 10),
        ("prores", "yuv422p10le", 10),
        ("ffv1_gray", "gray", 8),
        ("h264", "yuv420p", 8),
    ],
)
def test_depth(library, kind, pix_fmt, bits):
    info = probe(library[kind])
    assert (info.pix_fmt, info.bit_depth) == (pix_fmt, bits)


def test_colour_tags_are_read_and_what_is_missing_filled_in(tmp_path, library):
    tags = ColourTags("bt2020", "limited", "bt2020", "hlg")
    info = probe(encode(tmp_path / "a.mp4", smooth_frames(2), pix_fmt="yuv420p10le", tags=tags))
    assert info.tags == info.colour == tags
    untagged = probe(library["h264"])
    assert untagged.tags.matrix is None
    assert (untagged.colour.matrix, untagged.colour.range) == ("bt601", "limited")
    assert untagged.colour.primaries is None


def test_shape_of_pixels(tmp_path):
    def stretch(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(2)

    path = encode(tmp_path / "a.mp4", smooth_frames(2, 64, 64), prepare=stretch)
    assert probe(path).sample_aspect_ratio == 2


def test_sound_and_cover_art(tmp_path):
    frames = smooth_frames(5)
    path = encode(tmp_path / "a.mp4", frames, sound=True, cover=jpeg_bytes())
    info = probe(path)
    assert (info.codec, info.width, info.height) == ("h264", 64, 48)
    assert info.has_audio
    assert count_frames(path) == 5
    assert not probe(encode(tmp_path / "b.mp4", frames)).has_audio


def test_interlaced_is_told(tmp_path):
    path = encode(
        tmp_path / "a.mpg", smooth_frames(5, 64, 64), codec="mpeg2video", options={"flags": "+ildct+ilme", "top": "1"}
    )
    info = probe(path)
    if not info.interlaced:
        pytest.skip("this encoder marks no frame as interlaced")
    assert "interlaced" in info.warnings[0]


def test_a_broadcast_clock_starts_at_zero_for_us(library):
    info = probe(library["h264_ts"])
    assert info.start_time > 0
    assert info.origin == info.start_time
    assert info.is_broadcast


def test_a_file_cut_off_says_how_much_is_there(tmp_path):
    path = encode(tmp_path / "a.mp4", smooth_frames(30), container={"movflags": "faststart"}, options={"bf": "0"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    info = probe(path)
    assert 0 < info.frame_count < 30
    assert f"only {info.frame_count} of its 30 frames" in info.warnings[0]


def sound_only(path):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=44100)
        output.mux(tone_packets(stream, Fraction(1, 2)))
    return path


def cover_only(path):
    with av.open(str(path), "w") as output:
        stream, picture = output.add_stream("aac", rate=44100), output.add_stream("mjpeg", rate=25)
        picture.width, picture.height, picture.pix_fmt, picture.disposition = 32, 32, "yuvj420p", 0x400
        frame = av.VideoFrame(32, 32, "yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        output.mux([*picture.encode(frame), *picture.encode()])
        output.mux(tone_packets(stream, Fraction(1, 2)))
    return path


def without_header(path):
    encode(path, smooth_frames(5))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moov")])
    return path


BAD = {
    "missing": (lambda p: p, "does not exist"),
    "empty": (lambda p: (p.write_bytes(b""), p)[1], r"is empty \(0 bytes\)"),
    "text": (lambda p: (p.write_text("not a video at all\n" * 20), p)[1], "is not a video that can be read"),
    "no_moov": (without_header, "is not a video that can be read"),
    "sound_only": (sound_only, "has no video stream: it holds only sound"),
    "cover_only": (cover_only, "has no video stream: it holds only sound and a cover picture"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("ask", [probe, count_frames])
def test_bad_files_end_in_one_clear_sentence(tmp_path, name, ask):
    make, sentence = BAD[name]
    path = make(tmp_path / "bad file.mp4")
    with pytest.raises(MediaError, match=sentence) as caught:
        ask(path)
    message = str(caught.value)
    assert message.startswith(f"'{path}' ")
    assert "\n" not in message
    assert "Errno" not in message


def test_a_name_with_a_colon_is_no_address(tmp_path):
    path = encode(tmp_path / "part 1: ünïcode %03d.mp4", smooth_frames(2))
    assert probe(path).frame_count == 2
