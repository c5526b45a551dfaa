import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.degradations.shares import assert_uniform
from vrestore.degradations import JPEGCompression
from vrestore.degradations.jpeg_simulated import jpeg_simulated

SMOOTH = F.interpolate(torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0)), size=(50, 70)).clamp(0, 1)


def test_qualities():
    frames = torch.rand(1, 3, 8, 8)
    drawn = [JPEGCompression(coder="simulated")(frames, np.random.default_rng(s))[1] for s in range(500)]
    assert_uniform([r["quality"] for r in drawn], 30, 95)
    _, record = JPEGCompression(step=4)(torch.rand(20, 3, 8, 8), np.random.default_rng(0))
    assert all(float(q).is_integer() for q in record["quality"])
    assert 0 < np.abs(np.diff(record["quality"])).max() <= 5  # a step of up to 4, both ends rounded
    assert min(record["quality"]) >= 30


@pytest.mark.parametrize("coder", ["opencv", "simulated"])
def test_a_lower_quality_loses_more(coder):
    errors = []
    for quality in (10, 40, 80, 100):
        out, record = JPEGCompression(quality, 0, coder)(SMOOTH, np.random.default_rng(0))
        assert out.shape == SMOOTH.shape
        assert record["quality"] == quality
        errors.append(float((out - SMOOTH).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 2 * errors[2]


def test_both_coders_do_about_the_same():
    real, _ = JPEGCompression(60, 0)(SMOOTH, np.random.default_rng(0))
    simulated, _ = JPEGCompression(60, 0, "simulated")(SMOOTH, np.random.default_rng(0))
    loss = (real - SMOOTH).square().mean()
    assert (real - simulated).square().mean() < 0.5 * loss
    assert torch.equal(real * 255, (real * 255).round())


@pytest.mark.parametrize("coder", ["opencv", "simulated"])
def test_a_still_clip_stays_still(coder):
    out, _ = JPEGCompression(50, 0, coder)(SMOOTH[:1].expand(10, -1, -1, -1), np.random.default_rng(0))
    assert all(torch.equal(frame, out[0]) for frame in out)


def test_gradients_flow_where_asked():
    frames = SMOOTH.clone().requires_grad_()
    jpeg_simulated(frames, 50, differentiable=True).square().mean().backward()
    assert frames.grad.abs().sum() > 0


def test_colours_keep_their_channels():
    red = torch.zeros(1, 3, 32, 32)
    red[:, 0] = 0.8
    for coder in ("opencv", "simulated"):
        out, _ = JPEGCompression(95, 0, coder)(red, np.random.default_rng(0))
        assert (out.mean((0, 2, 3)) - red.mean((0, 2, 3))).abs().max() < 0.01
