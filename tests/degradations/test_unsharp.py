import numpy as np
import pytest
import torch

from vrestore.data.transforms import UnsharpMask as UnsharpTransform
from vrestore.degradations import Quantise, UnsharpMask


def test_edges_get_steeper_and_flat_parts_stay():
    frames = torch.full((2, 3, 60, 80), 0.3)
    frames[..., 40:] = 0.7
    sharp, record = UnsharpMask()(frames, np.random.default_rng(0))
    assert sharp[..., 39].mean() < 0.28
    assert sharp[..., 40].mean() > 0.72
    flat, _ = UnsharpMask()(torch.full((1, 3, 60, 60), 0.3), np.random.default_rng(0))
    torch.testing.assert_close(flat, torch.full((1, 3, 60, 60), 0.3))
    assert record == {"name": "UnsharpMask", "scale": 1, "weight": 0.5, "threshold": 10}
    assert torch.equal(sharp[0], sharp[1])


def test_faint_detail_is_left_alone():
    frames = 0.5 + 0.01 * torch.rand(1, 3, 60, 60)
    torch.testing.assert_close(UnsharpMask()(frames, np.random.default_rng(0))[0], frames)


def test_an_even_kernel_is_enlarged_by_one():
    assert UnsharpMask(kernel_size=50).kernel_size == 51


def test_the_transform_sharpens_the_target():
    frames = torch.rand(2, 3, 60, 60)
    sample = UnsharpTransform(weight=0.8).transform({"hq": frames}, np.random.default_rng(0))
    assert torch.equal(sample["hq"], UnsharpMask(weight=0.8)(frames, np.random.default_rng(0))[0])
    assert sample["source"] == {"sharpened": 0.8}


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_quantise(bits):
    frames = torch.rand(1, 3, 20, 20)
    out, record = Quantise(bits)(frames, np.random.default_rng(0))
    peak = 2**bits - 1
    assert torch.equal(out, (out * peak).round() / peak)
    assert (out - frames).abs().max() <= 0.5 / peak + 1e-6
    assert record["bits"] == bits
