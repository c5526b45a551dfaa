"""RVRT beyond the references: sizes, flows over several frames, videos of any number of clips."""

import pytest
import torch

from tests.backbones.randomised import randomised
from tests.contract import tiny
from vrestore.backbones import RVRT
from vrestore.backbones.rvrt import flows_between_clips
from vrestore.errors import ConfigError, RequestError
from vrestore.registry import BACKBONES


def test_official_size_and_names():
    with torch.device("meta"):
        net = RVRT()
    assert sum(p.numel() for p in net.parameters()) == 10_782_295
    names = net.state_dict()
    assert len(names) == 504
    assert names["deform_align.forward_2.conv_offset.10.weight"].shape == (432, 64, 1, 1, 1)
    assert names["backbone.forward_2.main.5.1.residual_group.blocks.1.attn.relative_position_index"].shape == (128, 128)


@pytest.mark.parametrize("upscale", [2, 4, 8])
@torch.no_grad()
def test_it_starts_at_the_bilinear_base(upscale):
    lq = torch.rand(1, 4, 3, 8, 12)
    out = BACKBONES.build({**tiny.RVRT, "upscale": upscale})(lq)
    torch.testing.assert_close(out[0], torch.nn.functional.interpolate(lq[0], scale_factor=upscale, mode="bilinear"))


# the last: two windows in time, and so shifted ones
@pytest.mark.parametrize(("clip_size", "window"), [(1, 1), (1, 2), (2, 2), (3, 3), (4, 2)])
@torch.no_grad()
def test_every_frame_depends_on_the_whole_video(clip_size, window):
    net = randomised({**tiny.RVRT, "clip_size": clip_size, "window_size": [window, 4, 4]})
    lq = torch.rand(1, 3 * clip_size, 3, 8, 8)
    out = net(lq)
    assert out.shape == (1, 3 * clip_size, 3, 32, 32)
    for changed in (0, -1):
        other = lq.clone()
        other[:, changed] = torch.rand(3, 8, 8)
        assert ((net(other) - out).abs().flatten(2).amax(-1) > 0).all()


def test_flows_over_several_frames_add_up():
    """Uniform flows: what lies k frames back is k times as far; the slots name the frames."""
    steps = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).view(1, 5, 1, 1, 1) * torch.tensor([1.0, -1.0]).view(2, 1, 1)
    clips = flows_between_clips(steps.expand(1, 5, 2, 64, 64), clip_size=2)
    assert [tuple(flows.shape) for flows in clips] == [(1, 2, 2, 2, 64, 64)] * 2
    inside = [flows[0, :, :, :, 32, 28] for flows in clips]
    assert inside[0][..., 0].tolist() == [[1 + 2, 2], [2 + 4, 1 + 2 + 4]]
    assert inside[1][..., 0].tolist() == [[4 + 8, 8], [8 + 16, 4 + 8 + 16]]
    assert torch.equal(inside[0][..., 1], -inside[0][..., 0])
    assert flows_between_clips(steps[:, :1].expand(1, 1, 2, 8, 8), clip_size=2) == []


def test_flows_are_looked_up_where_the_nearer_flow_points():
    torch.manual_seed(0)
    first, second = torch.randn(2, 1, 2, 8, 8)
    (flows,) = flows_between_clips(torch.stack([first, torch.zeros_like(first), second], dim=1), clip_size=2)
    torch.testing.assert_close(flows[:, 0, 0], first)  # frame 0 onto 2, over a flow of nothing
    torch.testing.assert_close(flows[:, 1, 0], second)  # frame 1 onto 3


@torch.no_grad()
def test_it_tells_its_flows():
    net = randomised(tiny.RVRT)
    lq = torch.rand(1, 4, 3, 8, 8)
    out, told = net(lq, return_intermediates=True)
    assert torch.equal(out, net(lq))
    assert {name: tuple(flows.shape) for name, flows in told.items()} == {
        "flows_backward": (1, 3, 2, 8, 8),
        "flows_forward": (1, 3, 2, 8, 8),
    }


def test_the_second_pass_starts_from_moved_flows():
    net = randomised(tiny.RVRT)
    given = {}
    for name, align in net.deform_align.items():
        align.register_forward_hook(lambda _, inputs, out, name=name: given.update({name: (inputs[3], out[1])}))
    with torch.no_grad():
        net(torch.rand(1, 4, 3, 8, 8))
    for direction in ("backward", "forward"):
        assert torch.equal(given[f"{direction}_2"][0], given[f"{direction}_1"][1])
        assert not torch.equal(given[f"{direction}_2"][0], given[f"{direction}_1"][0])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 3, 8, 8), r"a video of 3 frame\(s\) is no multiple of 2; .*frames_multiple=2"),
        ((1, 2, 3, 8, 10), r"10x8 \(width x height\) do not fit RVRT's windows: .*multiples of 4"),
        ((1, 2, 4, 8, 8), r"3 RGB channels, got 4"),
    ],
)
def test_other_videos_are_refused(shape, message):
    with pytest.raises(RequestError, match=message):
        BACKBONES.build(tiny.RVRT)(torch.rand(shape))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(upscale=3), r"upscale=3 does not fit; it must be a power of two"),
        (dict(upscale=1), r"upscale=1 does not fit"),
        (dict(clip_size=5), r"clip_size=5 does not fit; it must be a multiple of the 2 frames of a window"),
        (dict(embed_dims=[12, 24, 12]), r"embed_dims=\(12, 24, 12\) does not fit"),
        (dict(window_size=[8, 8]), r"window_size=\(8, 8\) does not fit; it must be \(frames, rows, columns\)"),
    ],
)
def test_arguments_that_do_not_fit_are_named(wrong, message):
    with pytest.raises(ConfigError, match=message):
        BACKBONES.build({**tiny.RVRT, **wrong})
