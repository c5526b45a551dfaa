"""restore_clip: frames in memory, block by block."""

import pytest
import torch

import vrestore
from tests.inference.restorers import Between, Plain, Smooth, WholeClip
from vrestore.data import BundledClips
from vrestore.errors import RequestError
from vrestore.inference import restore_clip
from vrestore.restorers.request import Request


@pytest.mark.parametrize("kind", [Plain, Smooth, Between])
@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("block", [1, 4, 16, 40])
def test_blocks_give_the_frames_of_the_whole_clip(kind, factor, block):
    frames = torch.rand(19, 3, 8, 10)
    before = frames.clone()
    request = Request(temporal_scale=factor)
    whole = kind().restore(frames, request)
    torch.testing.assert_close(restore_clip(kind(), frames, request, block), whole, atol=1e-6, rtol=0)
    assert torch.equal(frames, before)


def test_the_network_sees_no_more_than_a_block_and_its_context():
    restorer = Smooth()
    restore_clip(restorer, torch.rand(30, 3, 8, 8), block_frames=5)
    assert max(restorer.windows) == 9
    assert len(restorer.windows) == 6


def test_a_restorer_that_needs_the_whole_clip_gets_it():
    restorer, frames = WholeClip(), torch.rand(9, 3, 8, 8)
    assert torch.equal(restore_clip(restorer, frames, block_frames=2), WholeClip().restore(frames))
    assert restorer.windows == [9]


def test_fewer_frames_than_came_in():
    frames, request = torch.rand(7, 3, 8, 8), Request(temporal_scale=0.5)
    restored = restore_clip(Plain(), frames, request, block_frames=2)
    assert torch.equal(restored, Plain().restore(frames, request))


def test_it_is_at_the_door_and_refuses_what_restore_refuses():
    assert vrestore.restore_clip is restore_clip
    with pytest.raises(RequestError, match="must have the shape"):
        restore_clip(Plain(), torch.rand(3, 8, 8))
    with pytest.raises(RequestError, match="scale=3 is not served"):
        restore_clip(Plain(), torch.rand(3, 3, 8, 8), Request(scale=3))


def test_the_model_that_ships_keeps_the_drift_that_it_declares(monkeypatch):
    pytest.importorskip("skimage")
    lq = BundledClips(["coffee"], n_frames=32, size=(128, 160))[0]["lq"]  # the hardest of that footage for it
    drifts, declared = drifts_of_the_model_that_ships(lq, 16, monkeypatch)
    assert drifts[-1] >= declared


def test_its_drift_on_a_texture(monkeypatch):
    drifts, declared = drifts_of_the_model_that_ships(panned_texture(28, height=24, width=32), 14, monkeypatch)
    assert drifts[-1] >= declared - 3, "declared is what footage gave; this clip is noise and tiny"


def drifts_of_the_model_that_ships(lq, block_frames, monkeypatch):
    """PSNR of blocks with 0, 2 and its own frames of context to the whole run, and what the model declares, in dB."""
    restorer = vrestore.load_restorer("basicvsr-small-x4", device="cpu")
    capabilities = restorer.capabilities
    whole = restorer.restore(lq)
    drifts = []
    for overlap in (0, 2, capabilities.chunk_overlap_frames):
        monkeypatch.setattr(restorer, "_chunk_overlap_frames", overlap)
        difference = restore_clip(restorer, lq, block_frames=block_frames) - whole
        drifts.append(-10 * difference.double().square().mean().log10().item())
    assert drifts == sorted(drifts), "more context brings the blocks nearer to the whole"
    return drifts, capabilities.chunk_drift_db


def panned_texture(frames: int, height: int, width: int) -> torch.Tensor:
    """A texture, smooth with some grain, that moves by a fifth of a pixel a frame."""
    coarse = torch.rand(1, 3, height // 4, width // 4)
    texture = torch.nn.functional.interpolate(coarse, size=(height, width + frames), mode="bicubic")[0]
    texture = (texture + 0.05 * torch.randn_like(texture)).clamp(0, 1)
    clip = []
    for i in range(frames):
        whole, part = divmod(0.2 * i, 1)
        left = texture[:, :, int(whole) : int(whole) + width]
        right = texture[:, :, int(whole) + 1 : int(whole) + 1 + width]
        clip.append(torch.lerp(left, right, part))
    return torch.stack(clip)
