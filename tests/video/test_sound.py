"""Sound is copied packet by packet."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest

from tests.video.clips import encode, smooth_frames
from vrestore.video import VideoReader, VideoWriter, probe


def sound_of(path):
    """(seconds, bytes) of every packet of sound."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return []
        return [(p.pts * p.time_base, bytes(p)) for p in file.demux(audio=0) if p.dts is not None]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("sound") / "source.mp4", smooth_frames(30), sound=True)


def copy(source, target):
    with (
        VideoReader(source) as reader,
        VideoWriter(target, fps=reader.info.fps, sound_from=source, sound_shift=reader.info.origin) as writer,
    ):
        for block in reader.blocks(7):
            writer.write(block.frames, block.times)
    return writer


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_every_packet_is_copied_and_stays_in_step(tmp_path, source, name):
    writer = copy(source, tmp_path / name)
    before, after = sound_of(source), sound_of(tmp_path / name)
    assert writer.sound_streams == 1
    assert writer.warnings == []
    assert [data for _, data in after] == [data for _, data in before]
    # Matroska knows no time before zero and shifts sound and picture alike.
    shift = probe(tmp_path / name).start_time - probe(source).start_time
    for (was, _), (now, _) in zip(before, after, strict=True):
        assert abs(now - shift - was) <= Fraction(1, 1000)


def test_sound_of_a_broadcast_moves_with_its_picture(tmp_path):
    source = encode(tmp_path / "a.ts", smooth_frames(30), sound=True)
    copy(source, tmp_path / "b.mp4")
    gap_before = sound_of(source)[0][0] - probe(source).start_time
    gap_after = sound_of(tmp_path / "b.mp4")[0][0] - probe(tmp_path / "b.mp4").start_time
    assert abs(gap_after - gap_before) < Fraction(2, 1000)
    assert probe(tmp_path / "b.mp4").start_time < Fraction(1, 10)


@pytest.mark.parametrize("name", ["b.mp4", "b.mkv"])
def test_a_clock_that_jumps_back_costs_no_sound(tmp_path, name):
    """Two recordings in one file: picture and sound of the second follow those of the first."""
    once = encode(tmp_path / "once.ts", smooth_frames(30), sound=True)
    (tmp_path / "twice.ts").write_bytes(once.read_bytes() * 2)
    copy(tmp_path / "twice.ts", tmp_path / name)
    sound = sound_of(tmp_path / name)
    before = sound_of(tmp_path / "twice.ts")
    assert len(sound) == len(before)
    # MPEG-TS puts a header before each packet, which other containers go without.
    assert all(was.endswith(now) for (_, was), (_, now) in zip(before, sound, strict=True))
    times = [time for time, _ in sound]
    assert all(a < b for a, b in pairwise(times))
    with VideoReader(tmp_path / name) as reader:
        picture = next(reader.blocks(99)).times
    assert len(picture) == 60
    assert abs(picture[30] - times[len(times) // 2]) < Fraction(1, 10)


def test_sound_that_a_container_cannot_hold_is_told(tmp_path):
    def tone(path):
        with av.open(str(path), "w") as output:
            video, audio = output.add_stream("libx264", rate=25), output.add_stream("wavpack", rate=44100)
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            audio.layout = "mono"
            for i in range(4):
                frame = av.VideoFrame(64, 64, "yuv420p")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                output.mux(video.encode(frame))
            output.mux(video.encode())
            sound = av.AudioFrame(format="fltp", layout="mono", samples=2048)
            sound.sample_rate, sound.pts = 44100, 0
            output.mux([*audio.encode(sound), *audio.encode()])
        return path

    source = tone(tmp_path / "a.mkv")
    writer = copy(source, tmp_path / "b.mp4")
    assert writer.sound_streams == 0
    assert "wavpack" in writer.warnings[0]
    assert "write to .mkv to keep it" in writer.warnings[0]
    assert not probe(tmp_path / "b.mp4").has_audio
    assert copy(source, tmp_path / "c.mkv").sound_streams == 1


def test_a_folder_of_frames_says_that_sound_is_left_out(tmp_path, source):
    writer = copy(source, tmp_path / "frames")
    assert writer.warnings == ["the sound is left out: a folder of PNG files cannot hold it"]


def test_a_source_without_sound_needs_no_word(tmp_path):
    source = encode(tmp_path / "a.mp4", smooth_frames(3))
    assert copy(source, tmp_path / "b.mp4").warnings == []
