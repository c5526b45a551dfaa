"""VEnhancer in bounded memory: what is told before a run, and frames that leave as they are decoded."""

import pytest
import torch

from tests.contract.tiny import RESTORERS
from tests.paths import ROOT
from tests.video.clips import encode, smooth_frames
from vrestore import memory
from vrestore.autoencoders.tiling import Tiling
from vrestore.config import load_config
from vrestore.errors import RequestError
from vrestore.inference import restore_video
from vrestore.registry import MODELS
from vrestore.restorers import Request
from vrestore.video import VideoReader

pytest.importorskip("torchsde")
pytest.importorskip("diffusers")
GIB = memory.GIB
PIECES = Tiling(tile_h=None, tile_w=None, window_frames=2, overlap_frames=0)


@pytest.fixture(scope="module")
def full():
    """The official size, without memory."""
    return MODELS.build(dict(load_config(ROOT / "configs/venhancer/venhancer_full.py").model))


@pytest.fixture
def tiny():
    return MODELS.build(RESTORERS["VEnhancer"]).eval()


def test_the_official_size_is_foreseen_within_reason(full):
    """Reported by its users: about 40 GB for two seconds of 720p, weights in half precision included."""
    need = full.memory_need(Request(scale=4), 32, 180, 320)
    assert 10 * GIB < need.total < 40 * GIB
    assert "denoising 32 frames of 1280x720" in str(need)
    more = full.memory_need(Request(scale=4), 32, 270, 480)
    assert more.total > 1.8 * need.total


def test_longer_clips_need_more_for_their_frames_alone(full):
    short, long = (full.memory_need(Request(scale=4), frames, 180, 320) for frames in (61, 601))
    widest = max(short.stages, key=short.stages.get)
    assert long.stages[widest] == short.stages[widest]
    assert sum(long.throughout.values()) > 9 * sum(short.throughout.values())


def test_what_does_not_fit_is_refused_before_it_starts(full, monkeypatch):
    monkeypatch.setattr("vrestore.restorers.base.free_memory_bytes", lambda device: 8 * GIB)
    with pytest.raises(RequestError) as caught:
        full.check_memory(Request(scale=4), 200, 180, 320)
    message = str(caught.value)
    assert message.startswith("restoring 200 frame(s) of 320x180 needs about ")
    assert "denoising 40 frames of 1280x720" in message  # the last window of the clip
    assert "8.0 GiB are free" in message
    assert "lower scale or size" in message
    assert "window_frames (now 32)" in message


def test_the_command_refuses_it_before_anything_is_decoded(tmp_path, tiny, monkeypatch):
    source = encode(tmp_path / "in.mp4", smooth_frames(5))
    need = memory.MemoryNeed({"frames": 3 * GIB}, {"denoising": GIB}, "restore less")
    monkeypatch.setattr(type(tiny), "memory_need", lambda *_: need)
    monkeypatch.setattr("vrestore.restorers.base.free_memory_bytes", lambda device: 2 * GIB)
    monkeypatch.setattr(type(tiny), "stream", None)
    with pytest.raises(RequestError, match=r"about 4.0 GiB .* and 2.0 GiB are free; restore less"):
        restore_video(source, tmp_path / "out.mp4", tiny, scale=1)
    assert not (tmp_path / "out.mp4").exists()


def test_small_clips_are_not_foreseen(tiny):
    assert tiny.memory_need(Request(scale=4), 8, 64, 64) is None


@pytest.mark.parametrize("rate", [1, 2, 2.6])
@pytest.mark.filterwarnings("ignore:.*no whole multiple")
def test_frames_leave_as_they_are_decoded(tiny, rate):
    frames = torch.rand(5, 3, 12, 16)
    request = Request(scale=1.5, temporal_scale=rate, steps=1)
    whole = tiny.restore(frames, request)
    tiny.autoencoder.tiling = PIECES
    pieces = list(tiny.stream(frames, request))
    assert len(pieces) >= 2
    torch.testing.assert_close(torch.cat(pieces), whole)


def test_a_file_is_written_piece_by_piece(tmp_path, tiny):
    source = encode(tmp_path / "in.mp4", smooth_frames(7))
    asked = dict(scale=1, fps=50, steps=1, codec="ffv1", progress=False)
    restore_video(source, tmp_path / "whole.mkv", tiny, **asked)
    tiny.autoencoder.tiling = PIECES
    report = restore_video(source, tmp_path / "cut.mkv", tiny, **asked)
    assert (report.frames_in, report.frames_out) == (7, 14)
    with VideoReader(tmp_path / "whole.mkv") as one, VideoReader(tmp_path / "cut.mkv") as other:
        a, b = next(one.blocks(99)), next(other.blocks(99))
    assert a.times == b.times
    assert (a.frames - b.frames).abs().max() <= 1 / 255 + 1e-6


def test_frames_of_less_precision_end_with_the_piece(tiny):
    """The caller's own code between two pieces runs in the caller's precision."""
    tiny.autoencoder.tiling = PIECES
    for _ in tiny.stream(torch.rand(3, 3, 12, 16), Request(scale=1, steps=1, precision="bf16")):
        assert not torch.is_autocast_enabled("cpu")
    assert not tiny.training
