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
    restorer = vrestore.load_restorer("basicvsr-small-x4", device="cpu")
    capabilities = restorer.capabilities
    lq = BundledClips(["coffee"], n_frames=32, size=(128, 160))[0]["lq"]  # the hardest of that footage for it
    whole = restorer.restore(lq)
    drifts = []
    for overlap in (0, 2, capabilities.chunk_overlap_frames):
        monkeypatch.setattr(restorer, "_chunk_overlap_frames", overlap)
        difference = restore_clip(restorer, lq, block_frames=16) - whole
        drifts.append(-10 * difference.double().square().mean().log10().item())
    assert drifts == sorted(drifts), "more context brings the blocks nearer to the whole"
    assert drifts[-1] >= capabilities.chunk_drift_db
