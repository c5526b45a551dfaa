"""SSIM: against a direct computation with the two-dimensional window."""

import numpy as np
import pytest
import torch

from tests.evaluation.parts import moving_clip
from vrestore.errors import NotMeasuredError
from vrestore.evaluation import SSIM


def direct_ssim(pred: np.ndarray, hq: np.ndarray) -> float:
    """The formula of Wang et al. 2004 for one plane (H, W) in 0..255, window by window."""
    x = np.arange(11) - 5
    taps = np.exp(-(x**2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / np.outer(taps, taps).sum()
    values = []
    for top in range(pred.shape[0] - 10):
        for left in range(pred.shape[1] - 10):
            p, h = (image[top : top + 11, left : left + 11] for image in (pred, hq))
            mean_p, mean_h = (window * p).sum(), (window * h).sum()
            var_p, var_h = (window * (p - mean_p) ** 2).sum(), (window * (h - mean_h) ** 2).sum()
            covariance = (window * (p - mean_p) * (h - mean_h)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            luminance = (2 * mean_p * mean_h + c1) / (mean_p**2 + mean_h**2 + c1)
            values.append(luminance * (2 * covariance + c2) / (var_p + var_h + c2))
    return float(np.mean(values))


def test_it_is_the_published_formula():
    hq = moving_clip(3, frames=1, height=24, width=30)
    pred = (hq + 0.1 * torch.randn(hq.shape)).clamp(0, 1)
    planes = [(frames[0] * 255).round().double().numpy() for frames in (pred, hq)]
    wanted = np.mean([direct_ssim(planes[0][c], planes[1][c]) for c in range(3)])
    assert SSIM("RGB").score(pred, hq) == pytest.approx([wanted], abs=1e-10)


def test_identical_frames_score_one():
    clip = moving_clip(0)
    assert SSIM().score(clip, clip) == pytest.approx([1.0] * len(clip))


def test_it_needs_a_window():
    with pytest.raises(NotMeasuredError, match="at least 11x11 pixels, got 32x10"):
        SSIM().score(torch.rand(1, 3, 10, 32), torch.rand(1, 3, 10, 32))
