"""BaseRestorer.restore: checks, padding, cropping, target sizes."""

import pytest
import torch
import torch.nn.functional as F

from vrestore.errors import RequestError
from vrestore.restorers import BaseRestorer, Capabilities, Request, Scales


class Doubler(BaseRestorer):
    """Repeats pixels; accepts sides that are multiples of 6 only, and overshoots."""

    def __init__(self):
        super().__init__()
        self.offset = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    @property
    def capabilities(self):
        return Capabilities(spatial_scales=Scales(fixed=(2.0,)), default_scale=2.0, size_multiple=6, least_size_px=3)

    def restore_frames(self, frames_TCHW, request):
        assert not self.training
        self.seen.append(tuple(frames_TCHW.shape))
        return F.interpolate(frames_TCHW, scale_factor=2.0) * 1.5 + self.offset


@pytest.mark.parametrize(("h", "w"), [(6, 12), (7, 11), (3, 4)])
def test_pads_to_the_multiple_and_crops_back(h, w):
    restorer = Doubler()
    frames = torch.rand(2, 3, h, w)
    out = restorer.restore(frames)
    assert all(side % 6 == 0 for side in restorer.seen[0][-2:])
    assert out.shape == (2, 3, 2 * h, 2 * w)
    torch.testing.assert_close(out, (F.interpolate(frames, scale_factor=2.0) * 1.5).clamp(0, 1))
    assert restorer.training, "the mode it was in is restored"


def test_a_target_size_is_resampled_to():
    assert Doubler().restore(torch.rand(1, 3, 7, 9), Request(size=(20, 11))).shape == (1, 3, 20, 11)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([1, 2], r"must be a tensor \(T, 3, H, W\), got list"),
        (torch.rand(3, 8, 8), r"shape \(T, 3, H, W\).*got \(3, 8, 8\)"),
        (torch.rand(2, 4, 8, 8), r"3 RGB channels, got \(2, 4, 8, 8\)"),
        (torch.rand(0, 3, 8, 8), r"frames are empty"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"floating point in \[0, 1\], got torch.uint8"),
        (torch.rand(1, 3, 8, 8) * 255, r"must lie in \[0, 1\], got values from"),
        (torch.full((1, 3, 8, 8), float("nan")), r"must lie in \[0, 1\]"),
        (torch.rand(1, 3, 2, 8), r"at least 3 pixels"),
    ],
)
def test_wrong_frames_are_named(frames, message):
    with pytest.raises(RequestError, match=message):
        Doubler().restore(frames)


def test_modes_of_forward():
    lq = torch.rand(1, 2, 3, 6, 6)
    assert Doubler().eval()(lq, mode="tensor").shape == (1, 2, 3, 12, 12)
    with pytest.raises(ValueError, match="mode must be"):
        Doubler()(lq, mode="train")
    with pytest.raises(RequestError, match="needs clean frames"):
        Doubler()(lq, mode="loss")


class InPieces(Doubler):
    """Takes multiples of four frames and gives twice as many, in pieces of three."""

    @property
    def capabilities(self):
        scales = Scales(fixed=(1.0, 2.0))
        return Capabilities(spatial_scales=Scales(fixed=(1.0,)), temporal_scales=scales, frames_multiple=4)

    def stream_frames(self, frames_TCHW, request):
        self.seen.append(len(frames_TCHW))
        yield from frames_TCHW.repeat_interleave(round(request.time_factor()), dim=0).split(3)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("frames", [1, 3, 4, 6])
def test_frames_added_at_the_end_are_dropped_again(frames, factor):
    restorer = InPieces()
    clip = torch.rand(frames, 3, 4, 5)
    request = Request(temporal_scale=factor)
    expected = clip.repeat_interleave(factor, dim=0)
    assert torch.equal(restorer.restore(clip, request), expected)
    assert all(len(piece) for piece in restorer.stream(clip, request))
    assert all(seen % 4 == 0 for seen in restorer.seen)
