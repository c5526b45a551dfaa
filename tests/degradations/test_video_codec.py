import io
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.degradations.shares import assert_shares, assert_uniform
from vrestore.degradations import Compose, ResizeTo, VideoCompression, video_codec
from vrestore.errors import RequestError


def moving(n_frames=6, height=48, width=64):
    coarse = torch.rand(1, 3, 5, 10, generator=torch.Generator().manual_seed(1))
    canvas = F.interpolate(coarse, size=(height, 2 * width), mode="bicubic").clamp(0, 1) * 0.6 + 0.2
    return torch.cat([canvas[..., 2 * t : 2 * t + width] for t in range(n_frames)])


@pytest.fixture
def untouched(monkeypatch):
    """Only draws: the codec itself gives back what it is given."""
    monkeypatch.setattr(video_codec, "recode", lambda frames, *_: frames)


def test_codecs_and_bitrates(untouched):
    codec = VideoCompression(codecs=dict(libx264=0.5, h264=0.3, mpeg4=0.2))
    drawn = [codec(torch.rand(1, 3, 4, 4), np.random.default_rng(seed))[1] for seed in range(1000)]
    assert_shares([r["codec"] for r in drawn], dict(libx264=0.5, h264=0.3, mpeg4=0.2))
    assert_uniform([r["bitrate"] for r in drawn], 1e4, 1e5)


def test_bitrates_follow_the_area_of_the_clean_clip(untouched):
    frames = torch.rand(1, 3, 128, 256)

    def drawn(codec):
        return Compose([ResizeTo(4), codec])(frames, np.random.default_rng(0))[1]["steps"][1]["bitrate"]

    assert drawn(VideoCompression(bitrate=5e4)) == 25000  # half of 256 x 256
    assert drawn(VideoCompression(bitrate=5e4, area_px=None)) == 50000
    assert VideoCompression(bitrate=5e4)(frames, np.random.default_rng(0))[1]["bitrate"] == 50000


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4"])
@pytest.mark.parametrize(("n_frames", "height", "width"), [(6, 48, 64), (1, 17, 9), (3, 70, 90)])
def test_every_codec_gives_the_clip_back(codec, n_frames, height, width):
    clip = moving(n_frames, height, width)
    degrade = VideoCompression(codecs=codec, bitrate=1e5)
    out, record = degrade(clip, np.random.default_rng(0))
    assert out.shape == clip.shape
    assert record["codec"] == codec
    assert (out - clip).abs().mean() < 0.08
    assert (out.mean((0, 2, 3)) - clip.mean((0, 2, 3))).abs().max() < 0.01, "colours have a bias"
    assert torch.equal(out, degrade(clip, np.random.default_rng(0))[0])


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg4"])
def test_fewer_bits_are_used_and_lose_more(codec):
    clip = (moving(8, 96, 128) + 0.2 * torch.rand(8, 3, 96, 128)).clamp(0, 1)
    bits, errors = [], []
    for bitrate in (2_000, 20_000, 200_000):
        bits.append(sum(map(len, video_codec._encode(clip, codec, bitrate, Fraction(1), None)[0])))
        out, _ = VideoCompression(codec, bitrate)(clip, np.random.default_rng(0))
        errors.append(float((out - clip).square().mean()))
    assert bits[0] < bits[1] < bits[2]
    assert errors[0] > errors[1] > errors[2]


def test_frames_come_back_in_their_order():
    levels = torch.linspace(0.1, 0.9, 12)
    clip = levels.view(-1, 1, 1, 1).expand(-1, 3, 64, 96)
    out, _ = VideoCompression("h264", 1e5)(clip, np.random.default_rng(0))
    assert (out.mean((1, 2, 3)) - levels).abs().max() < 0.02


def test_a_still_clip_stays_nearly_still():
    still = moving(1).expand(8, -1, -1, -1)
    out, _ = VideoCompression("h264", 1e5)(still, np.random.default_rng(0))
    assert (out[1:] - out[:-1]).abs().mean() < 0.01


def test_refuses_frames_without_colour():
    with pytest.raises(RequestError, match=r"RGB frames \(T, 3, H, W\)"):
        VideoCompression("h264")(torch.rand(2, 1, 16, 16), np.random.default_rng(0))


def test_x264_gives_the_same_bits_every_time():
    """With AVX-512 its rate control depended on what lay in memory before."""
    clips = [
        (moving(9, *size) + 0.05 * torch.randn(9, 3, *size, generator=torch.Generator().manual_seed(i))).clamp(0, 1)
        for i, size in enumerate([(128, 160), (66, 82), (86, 106)])
    ]
    first: dict[int, list[bytes]] = {}
    for seed in range(20):
        for i, clip in enumerate(clips):
            unrelated = torch.rand(7, 3, 96, 120 + seed).mul_(3)
            packets, _ = video_codec._encode(clip, "libx264", 5000, Fraction(1), None)
            assert packets == first.setdefault(i, packets), len(unrelated)


@pytest.mark.parametrize(("codec", "container"), [("mpeg4", "m4v"), ("libx264", "h264")])
def test_frames_are_those_of_the_whole_stream(codec, container):
    """Decoders read beyond the end of a packet: of bytes as they are, MPEG-4's showed what stood behind them."""
    for seed, size in enumerate([(96, 122), (24, 30), (64, 80), (322, 484)]):
        noise = torch.randn(9, 3, *size, generator=torch.Generator().manual_seed(seed))
        clip = (moving(9, *size) + 0.1 * noise).clamp(0, 1)
        for bitrate in (3000, 463_176):
            packets, extradata = video_codec._encode(clip, codec, bitrate, Fraction(1), None)
            stream = io.BytesIO((extradata or b"") + b"".join(packets))
            with av.open(stream, format=container) as file:
                file.streams.video[0].thread_count = 1
                expected = np.stack([frame.to_ndarray(format="yuv420p") for frame in file.decode(video=0)])
            decoded = video_codec._decode(codec, packets, extradata)
            luma = torch.from_numpy(expected[:, : size[0], : size[1]])
            weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
            found = (decoded * weights).sum(1) * 219 + 16
            whole = ((decoded > 0) & (decoded < 1)).all(1)  # what was cut to the range tells nothing of luma
            assert (found - luma)[whole].abs().max() < 0.01
