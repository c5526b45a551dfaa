"""IconVSR beyond the references: size, keyframes, clips of any length, odd sides. (Numbers: tests/parity.)"""

import pytest
import torch

from tests.backbones.randomised import randomised
from tests.contract import tiny
from vrestore.backbones import IconVSR
from vrestore.backbones.iconvsr import extended_indices, keyframes
from vrestore.checkpoints.weightless import weightless
from vrestore.errors import ConfigError
from vrestore.layers.padding import pad_to_multiple

ARGUMENTS = {name: value for name, value in tiny.ICONVSR.items() if name != "type"}


@pytest.mark.parametrize(("padding", "parameters"), [(2, 8_694_991), (3, 8_711_375)])
def test_official_sizes(padding, parameters):
    with weightless():
        net = IconVSR(padding=padding)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_keyframes():
    assert keyframes(11, 5) == [0, 5, 10]
    assert keyframes(8, 5) == [0, 5, 7]
    assert keyframes(1, 5) == [0]
    assert keyframes(3, 1) == [0, 1, 2]


@pytest.mark.parametrize(
    ("frames", "padding", "front", "behind"),
    [
        (7, 2, [4, 3], [3, 2]),
        (5, 2, [4, 3], [1, 0]),
        (7, 3, [6, 5, 4], [2, 1, 0]),
        (4, 2, [3, 3], [0, 0]),
        (2, 3, [1, 1, 1], [0, 0, 0]),
        (1, 2, [0, 0], [0, 0]),
        (6, 0, [], []),
    ],
)
def test_frames_beyond_the_ends(frames, padding, front, behind):
    assert extended_indices(frames, padding) == [*front, *range(frames), *behind]


@pytest.mark.parametrize("side", [(13, 18), (3, 5), (16, 16)])
@torch.no_grad()
def test_odd_sides_are_those_of_the_mirrored_frames(side):
    net = randomised(tiny.ICONVSR, noise=0.05)
    lq = torch.rand(2, 3, 3, *side)
    padded = torch.stack([pad_to_multiple(clip, 4) for clip in lq])
    h, w = (4 * n for n in side)
    torch.testing.assert_close(net(lq), net(padded)[..., :h, :w])


@torch.no_grad()
def test_the_windows_of_the_keyframes():
    net = IconVSR(**{**ARGUMENTS, "keyframe_stride": 5, "padding": 2})
    seen = []
    net.edvr.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, :, 0, 0, 0].mul(10).round().tolist()))
    net((torch.arange(7.0) / 10).view(1, 7, 1, 1, 1).expand(1, 7, 3, 8, 8))
    assert seen == [[4, 3, 0, 1, 2], [3, 4, 5, 6, 3], [4, 5, 6, 3, 2]]


@torch.no_grad()
def test_flows_have_the_callers_sides():
    _, more = randomised(tiny.ICONVSR, noise=0.05)(torch.rand(1, 3, 3, 9, 14), return_intermediates=True)
    assert more["flows_backward"].shape == more["flows_forward"].shape == (1, 2, 2, 9, 14)


@pytest.mark.parametrize("arguments", [dict(keyframe_stride=0), dict(padding=-1)])
def test_arguments_below_their_least(arguments):
    with pytest.raises(ConfigError, match="keyframe_stride must be at least 1 and padding at least 0"):
        IconVSR(**arguments)
