"""SlidingWindowRestorer: which windows it takes, blocks as exact as the whole, training on the centre frame."""

from fractions import Fraction

import pytest
import torch

from tests.contract import tiny
from vrestore.errors import ConfigError
from vrestore.inference.windows import windows
from vrestore.registry import BACKBONES, MODELS
from vrestore.restorers import Request
from vrestore.restorers.window_padding import RULES, window_indices
from vrestore.video import FrameBlock

HR = {**tiny.EDVR, "with_predeblur": True, "hr_in": True}


def build(backbone=tiny.EDVR, noise=0.0, **more):
    restorer = MODELS.build(dict(type="SlidingWindowRestorer", backbone=backbone, **more)).eval()
    with torch.no_grad():
        for parameter in restorer.parameters():
            parameter.add_(torch.randn_like(parameter) * noise)
    return restorer


class WeighsFrames(torch.nn.Module):
    """Gives a sum of the window's frames in which each has its own weight."""

    num_frames = 5
    scale = 1

    def forward(self, lq):
        return (lq * (torch.arange(5.0) + 1).view(5, 1, 1, 1)).sum(1) / 15


@pytest.fixture
def weighing():
    BACKBONES.register_module(name="WeighsFrames", module=WeighsFrames)
    yield lambda **more: build(dict(type="WeighsFrames"), **more)
    BACKBONES.module_dict.pop("WeighsFrames")


@pytest.mark.parametrize("padding", RULES)
@pytest.mark.parametrize("frames", [1, 2, 3, 8])
def test_every_frame_has_its_window(weighing, padding, frames):
    clip = torch.rand(frames, 3, 8, 8)
    restored = weighing(padding=padding, window_batch=3).restore(clip)
    each = torch.stack([WeighsFrames()(clip[window_indices(i, frames, 5, padding)][None])[0] for i in range(frames)])
    torch.testing.assert_close(restored, each)


@pytest.mark.parametrize("padding", RULES)
@pytest.mark.parametrize("keep", [1, 2, 3, 5])
def test_blocks_are_exact(weighing, padding, keep):
    restorer = weighing(padding=padding)
    for frames in range(1, 14):
        clip = torch.rand(frames, 3, 8, 8)
        blocks = (FrameBlock(clip[i : i + 2], [Fraction(n) for n in range(i, min(i + 2, frames))], i)
                  for i in range(0, frames, 2))  # fmt: skip
        parts = []
        for window in windows(blocks, keep, restorer.capabilities.chunk_overlap_frames):
            first = window.keep_start - window.start
            parts.append(restorer.restore(window.frames)[first : first + window.keep_count])
        torch.testing.assert_close(torch.cat(parts), restorer.restore(clip))


@pytest.mark.parametrize("window_batch", [2, 5, 100])
def test_a_batch_of_windows_changes_nothing(window_batch):
    clip = torch.rand(5, 3, 8, 8)
    one = build(noise=0.05)
    many = build(window_batch=window_batch)
    many.load_state_dict(one.state_dict())
    torch.testing.assert_close(many.restore(clip), one.restore(clip), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("backbone", "multiple", "scale"), [(tiny.EDVR, 4, 4), (HR, 16, 1)])
def test_odd_sizes(backbone, multiple, scale):
    restorer = build(backbone, noise=0.05)
    caps = restorer.capabilities
    assert (caps.size_multiple, caps.spatial_scales.fixed) == (multiple, (scale,))
    assert caps.context_frames == caps.chunk_overlap_frames == 2
    assert restorer.restore(torch.rand(2, 3, 9, 14)).shape == (2, 3, 9 * scale, 14 * scale)
    assert build(padding="replicate").capabilities.chunk_overlap_frames == 1


def test_another_centre_frame():
    restorer = build({**tiny.EDVR, "center_frame_idx": 0}, padding="replicate")
    clip = torch.rand(4, 3, 8, 8)
    base = torch.nn.functional.interpolate(clip, scale_factor=4, mode="bilinear")
    torch.testing.assert_close(restorer.restore(clip, Request(scale=4)), base)
    assert restorer.capabilities.context_frames == 2


@pytest.mark.parametrize("clean_frames", [1, 3])
def test_the_loss_is_on_the_centre_frame(clean_frames):
    restorer = build(pixel_loss=dict(type="L1Loss"))
    lq = torch.rand(2, 3, 3, 8, 8)
    hq = torch.zeros(2, clean_frames, 3, 32, 32)
    hq[:, clean_frames // 2] = torch.nn.functional.interpolate(lq[:, 1], scale_factor=4, mode="bilinear") + 0.25
    losses = restorer(lq, hq, mode="loss")
    assert list(losses) == ["loss_pixel"]
    assert losses["loss_pixel"].item() == pytest.approx(0.25, abs=1e-5)


def test_training_lowers_the_loss():
    torch.manual_seed(1)
    restorer = build()
    hq = torch.rand(1, 3, 3, 32, 32)
    lq = torch.nn.functional.avg_pool2d(hq[0], 4)[None]
    optimiser = torch.optim.Adam(restorer.parameters(), lr=3e-3)
    values = []
    for _ in range(30):
        loss = restorer.loss(lq, hq)["loss_pixel"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert values[-1] < 0.97 * values[0]


@pytest.mark.parametrize(
    ("lq", "hq", "message"),
    [
        ((1, 5, 3, 8, 8), (1, 5, 3, 32, 32), "3 frames and gives their frame 1; the data has 5 degraded and 5"),
        ((1, 3, 3, 8, 8), (1, 2, 3, 32, 32), "3 degraded and 2 clean frames a clip: draw clips of 3 frames"),
        ((1, 3, 3, 8, 8), (1, 3, 3, 16, 16), "the data's scale and the network's scale differ"),
    ],
)
def test_data_that_does_not_fit(lq, hq, message):
    with pytest.raises(ConfigError, match=message):
        build().loss(torch.rand(lq), torch.rand(hq))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(padding="mirror"), "padding must be one of replicate, .* got 'mirror'"),
        (dict(window_batch=0), "window_batch must be at least 1, got 0"),
        (dict(backbone=tiny.BASICVSR), "BasicVSR has no attribute 'num_frames', .* RegressionRestorer"),
    ],
)
def test_settings_that_do_not_fit(arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(**arguments)
