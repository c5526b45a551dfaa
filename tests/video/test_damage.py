"""Damaged files: what can be decoded is kept, what was lost is told; only frames or a MediaError come out."""

import random

import av
import av.logging
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.video.clips import encode, psnr, smooth_frames, write_png
from vrestore.errors import MediaError
from vrestore.video import VideoReader, count_frames, probe, read_clip


def read_all(path):
    with VideoReader(path) as reader:
        frames = torch.cat([block.frames for block in reader.blocks(8)])
        return frames, reader.warnings


def flipped(data: bytes, first: int, last: int, count: int, seed: int = 0) -> bytes:
    rng, out = random.Random(seed), bytearray(data)
    for _ in range(count):
        out[rng.randrange(first, last)] ^= rng.randrange(1, 256)
    return bytes(out)


@pytest.fixture(scope="module")
def noisy():
    """Frames with enough detail that damage cannot hide."""
    generator = torch.Generator().manual_seed(1)
    return (smooth_frames(40, 48, 64) + 0.15 * torch.rand(40, 3, 48, 64, generator=generator)).clamp(0, 1)


def test_a_file_cut_in_the_middle_gives_its_first_frames(tmp_path, noisy):
    path = encode(tmp_path / "a.mp4", noisy, container={"movflags": "faststart"})
    whole = read_clip(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.55)])
    frames, warnings = read_all(path)
    assert 5 < len(frames) < 40
    assert torch.equal(frames[:4], whole[:4])
    assert count_frames(path) == len(frames)
    assert any("of its 40 frames" in w for w in warnings)
    assert any("damaged" in w for w in warnings)


def test_damage_in_the_middle_is_passed_over_and_told(tmp_path, noisy):
    path = encode(tmp_path / "a.ts", noisy, gop=10)
    whole = read_clip(path)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(flipped(data, half, half + 1500, 200))
    frames, warnings = read_all(path)
    assert 30 <= len(frames) <= 40
    assert torch.equal(frames[:8], whole[:8])
    assert psnr(frames[-5:], whole[-5:]) > 30  # the last group of pictures stands by itself
    assert any("damaged" in w for w in warnings)


def test_frames_painted_over_by_the_decoder_are_told(tmp_path, noisy):
    path = encode(tmp_path / "a.mkv", noisy)
    data = path.read_bytes()
    path.write_bytes(flipped(data, len(data) // 3, len(data) - 2000, 12))
    frames, warnings = read_all(path)
    assert len(frames) > 30
    assert any("errors painted over" in w or "not decodable" in w for w in warnings)


def test_frames_missing_from_a_broadcast_are_counted(tmp_path, noisy):
    path = encode(tmp_path / "a.ts", noisy[:20], options={"bf": "0"}, gop=5)
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None and number not in (13, 14):  # the end of a group of pictures
                packet.stream = stream
                target.mux(packet)
    frames, warnings = read_all(tmp_path / "b.ts")
    assert len(frames) == 18
    assert any("2 frame(s) are missing" in w for w in warnings)


def test_a_healthy_file_is_told_to_be_nothing_else(tmp_path, noisy):
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        path = encode(tmp_path / name, noisy, codec="mpeg4" if name == "a.avi" else "libx264")
        assert read_all(path)[1] == []


def test_logging_of_ffmpeg_is_left_as_it_was(library):
    before = av.logging.get_level()
    read_clip(library["h264"])
    assert av.logging.get_level() == before


FUZZED = ["h264", "h264_ts", "h264_raw", "hevc_open_gop", "vp9", "mpeg2_ps", "mpeg4_avi", "mjpeg", "gif", "ffv1_gray"]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_gives_frames_or_a_media_error(library, tmp_path_factory, data):
    source = library[data.draw(st.sampled_from(FUZZED))]
    whole = source.read_bytes()
    seed = data.draw(st.integers(0, 2**32 - 1))
    flips = data.draw(st.sampled_from([0, 1, 4, 30, 300]))
    kept = data.draw(st.sampled_from([1.0, 1.0, 0.9, 0.5, 0.1, 0.01]))
    broken = flipped(whole, 0, len(whole), flips, seed)[: int(len(whole) * kept)]
    path = tmp_path_factory.mktemp("fuzz") / f"broken{source.suffix}"
    path.write_bytes(broken)
    check_frames_or_error(path)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1), flips=st.sampled_from([1, 3, 20]), kept=st.sampled_from([1.0, 0.7, 0.05]))
def test_any_damage_to_an_image_gives_frames_or_a_media_error(tmp_path_factory, seed, flips, kept):
    folder = tmp_path_factory.mktemp("fuzz")
    path = write_png(folder / "0.png", smooth_frames(1, 24, 32)[0])
    whole = path.read_bytes()
    path.write_bytes(flipped(whole, 0, len(whole), flips, seed)[: int(len(whole) * kept)])
    check_frames_or_error(folder)


def check_frames_or_error(path):
    for ask in (probe, read_clip, some_frames):
        try:
            result = ask(path)
        except MediaError:
            continue
        if isinstance(result, torch.Tensor):
            assert result.ndim == 4
            assert len(result) >= 1
            assert torch.isfinite(result).all()


def some_frames(path):
    with VideoReader(path) as reader:
        middle = reader.frame_count // 2
        return reader.read(middle, 1).frames
