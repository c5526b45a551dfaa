"""SpaceTimeRestorer: sizes and rates of networks over clips and over pairs, padding cropped, blocks, training."""

from fractions import Fraction

import pytest
import torch

from tests.contract import tiny
from tests.restorers.test_interpolation import check_blocks
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import BACKBONES
from vrestore.restorers import Request, SpaceTimeRestorer
from vrestore.restorers.space_time import fitting_sides

CLIPS, PAIRS = tiny.SPACETIME_BACKBONES["ZoomingSlowMo"], tiny.SPACETIME_BACKBONES["VideoINR"]


@BACKBONES.register_module(force=True)
class PlacePair(torch.nn.Module):
    """Stands in for VideoINR with a known answer: bilinear enlargement, blended in time."""

    num_frames = 2
    least_multiple = 4

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, lq, times, size, test=True):
        assert lq.shape[-1] % 4 == lq.shape[-2] % 4 == 0
        self.calls.append((tuple(lq.shape), list(times), size))
        frames = [torch.lerp(lq[:, 0], lq[:, 1], float(t)) for t in times]
        large = [torch.nn.functional.interpolate(f, size=size, mode="bilinear") for f in frames]
        return torch.stack(large, 1)


@pytest.fixture(scope="module")
def zooming():
    torch.manual_seed(0)
    return SpaceTimeRestorer(CLIPS)


def test_a_network_over_clips_serves_its_own_factors(zooming):
    frames = torch.rand(3, 3, 9, 14)
    twice = zooming.restore(frames, Request(temporal_scale=2))
    assert twice.shape == (6, 3, 36, 56)
    assert torch.equal(twice[5], twice[4]), "behind the last frame nothing is known"
    assert torch.equal(zooming.restore(frames), twice[::2][:3])
    assert zooming.restore(frames[:1], Request(temporal_scale=2)).shape == (2, 3, 36, 56)
    assert zooming.restore(frames, Request(size=(20, 31))).shape == (3, 3, 20, 31)
    with pytest.raises(RequestError, match="3 times the frame rate is not served; this model serves 1, 2 times"):
        zooming.restore(frames, Request(temporal_scale=3))
    with pytest.raises(RequestError, match="scale=2 is not served; this model serves scale 4"):
        zooming.restore(frames, Request(scale=2))
    caps = zooming.capabilities
    assert (caps.size_multiple, caps.context_frames, caps.chunk_overlap_frames) == (4, None, None)
    caps = SpaceTimeRestorer(CLIPS, chunk_overlap_frames=3, chunk_drift_db=50).capabilities
    assert (caps.chunk_overlap_frames, caps.chunk_drift_db) == (3, 50)


@pytest.mark.parametrize("scale", [1, 1.3, 2, 2.5, 4, 8])
@pytest.mark.parametrize("factor", [0.5, 1, 2, 2.5])
def test_a_network_over_pairs_serves_any_factor(scale, factor):
    restorer = SpaceTimeRestorer({"type": "PlacePair"})
    frames = (torch.arange(5) / 10).view(-1, 1, 1, 1).expand(5, 3, 9, 14).contiguous()
    out = restorer.restore(frames, Request(scale=scale, temporal_scale=factor))
    assert out.shape == (round(5 * factor), 3, round(9 * scale), round(14 * scale))
    want = (torch.arange(len(out)) / factor).clamp(max=4) / 10
    torch.testing.assert_close(out.mean((1, 2, 3)), want, atol=1e-5, rtol=0)


def test_padding_is_cropped_and_moves_nothing():
    """The left and upper part equals that of an enlargement without padding, to a fraction of a pixel."""
    frames = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 5), size=(30, 45), mode="bicubic").clamp(0, 1)
    for scale in (1.7, 2.3, 3.1):
        out = SpaceTimeRestorer({"type": "PlacePair"}).restore(frames, Request(scale=scale))
        want = torch.nn.functional.interpolate(frames, scale_factor=scale, mode="bilinear")
        h, w = want.shape[-2] - 8, want.shape[-1] - 8
        assert (out[..., :h, :w] - want[..., :h, :w]).abs().max() < 0.01


def test_the_network_reaches_a_target_size_itself_where_it_serves_it():
    restorer = SpaceTimeRestorer({"type": "PlacePair"}, scale=2)
    frames = torch.rand(2, 3, 12, 16)
    assert restorer.restore(frames, Request(size=(30, 40))).shape == (2, 3, 30, 40)
    assert restorer.backbone.calls[-1][2] == (30, 40)
    assert restorer.restore(frames, Request(size=(6, 99))).shape == (2, 3, 6, 99)
    assert restorer.backbone.calls[-1][2] == (24, 32), "half the size is resampled from what it makes by default"


def test_pairs_of_the_same_times_go_together():
    restorer = SpaceTimeRestorer({"type": "PlacePair"}, batch_pairs=2)
    restorer.restore(torch.rand(5, 3, 8, 8), Request(temporal_scale=2))
    assert [(shape[0], times) for shape, times, _ in restorer.backbone.calls] == [
        (2, [0, 0.5]),
        (1, [0, 0.5]),
        (1, [0, 0.5, 1]),
    ]


def test_the_only_frame_is_a_pair_with_itself():
    restorer = SpaceTimeRestorer(PAIRS)
    out = restorer.restore(torch.rand(1, 3, 9, 9), Request(temporal_scale=3, scale=2))
    assert out.shape == (3, 3, 18, 18)
    assert torch.equal(out[0], out[2])


@pytest.mark.parametrize("factor", [Fraction(1), Fraction(2), Fraction(5, 2)])
def test_blocks_of_pairs_give_the_frames_of_the_whole_clip(factor):
    check_blocks(SpaceTimeRestorer({"type": "PlacePair"}, scale=2), torch.rand(9, 3, 8, 9), factor, 2)


def test_videoinr_in_blocks():
    torch.manual_seed(0)
    check_blocks(SpaceTimeRestorer(PAIRS, scale=1.5), torch.rand(6, 3, 8, 12), Fraction(2), 2, atol=1e-5)


@pytest.mark.parametrize("side", [8, 9, 30, 45, 541])
@pytest.mark.parametrize("factor", [1, 1.1, 1.5, 2, 2.37, 3.3, 4, 8])
def test_sides_fit(side, factor):
    padded, made = fitting_sides(side, factor, 4)
    assert padded % 4 == 0
    assert side <= padded < side + 36
    assert made >= round(side * factor)
    assert abs(padded * factor - made) < 0.2  # pixels, at the far end of the padding


def test_training():
    zooming = SpaceTimeRestorer(CLIPS)
    loss = zooming.loss(torch.rand(1, 3, 3, 8, 8), torch.rand(1, 5, 3, 32, 32))["loss_pixel"]
    loss.backward()
    assert loss > 0
    assert zooming.backbone.conv_first.weight.grad.abs().sum() > 0
    pairs = SpaceTimeRestorer(PAIRS)
    loss = pairs.loss(torch.rand(1, 2, 3, 8, 8), torch.rand(1, 4, 3, 20, 24))["loss_pixel"]
    loss.backward()
    assert pairs.backbone.encode_imnet.net[0].linear.weight.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="the data's scales and the network's differ"):
        zooming.loss(torch.rand(1, 3, 3, 8, 8), torch.rand(1, 3, 3, 32, 32))
    with pytest.raises(ConfigError, match="got 2 given and 2 clean frames"):
        pairs.loss(torch.rand(1, 2, 3, 8, 8), torch.rand(1, 2, 3, 32, 32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": tiny.BASICVSR}, "BasicVSR has neither time_scale nor num_frames = 2"),
        ({"backbone": tiny.PAIR_BACKBONES["RIFE"]}, "RIFE has neither time_scale"),
        ({"backbone": PAIRS, "scale": 9}, "scale must lie from 1 to 8, got 9"),
        ({"backbone": PAIRS, "batch_pairs": 0}, "batch_pairs must be at least 1"),
        ({"backbone": CLIPS, "chunk_overlap_frames": 0}, "chunk_overlap_frames must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ConfigError, match=message):
        SpaceTimeRestorer(**arguments)
