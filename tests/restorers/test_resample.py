"""ResampleRestorer: references of other libraries, any scale, time."""

import numpy as np
import pytest
import torch

from tests.parity import references as ref
from vrestore.errors import ConfigError
from vrestore.restorers import Request, ResampleRestorer
from vrestore.restorers.resample import resample_time


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(
    ("spatial", "reference", "tolerance"),
    [
        ("bicubic", "matlab_bicubic", 2e-5),
        ("bicubic", "pil_bicubic_u8", 1.5 / 255),  # Pillow rounds to 8 bit after either axis: 0.5 code values twice,
        ("lanczos", "pil_lanczos_u8", 1.5 / 255),  # the first one amplified by the negative lobes of the second pass
        ("bilinear", "torch_bilinear", 2e-5),
        ("bicubic-torch", "torch_bicubic", 2e-5),  # away from the border, which torch repeats and MATLAB mirrors
    ],
)
def test_stored_references(spatial, reference, tolerance, scale):
    stored = ref.arrays(ref.manifest()["trivial/upsample"])
    image = torch.from_numpy(stored["img"]).float()
    image = (image / 255 if image.max() > 1.5 else image).permute(2, 0, 1)[None]
    want = stored[f"{reference}_x{scale}"]
    want = want.astype(np.float64) / (255 if want.dtype == np.uint8 else 1)
    want = torch.from_numpy(want if want.ndim == 4 else want.transpose(2, 0, 1)[None]).clamp(0, 1)
    got = ResampleRestorer(spatial).restore(image, Request(scale=scale)).double()
    inner = (slice(None), slice(None), slice(4 * scale, -4 * scale), slice(4 * scale, -4 * scale))
    compared = inner if reference.startswith(("pil", "torch_bicubic")) else slice(None)
    assert (got - want)[compared].abs().max() <= tolerance


@pytest.mark.parametrize("spatial", ["nearest", "bilinear", "bicubic", "bicubic-torch", "lanczos"])
@pytest.mark.parametrize("scale", [0.4, 1, 1.7, 3])
def test_constant_frames_stay_constant_at_any_scale(spatial, scale):
    frames = torch.full((2, 3, 11, 7), 0.3)
    out = ResampleRestorer(spatial).restore(frames, Request(scale=scale))
    assert out.shape == (2, 3, round(11 * scale), round(7 * scale))
    torch.testing.assert_close(out, torch.full_like(out, 0.3), atol=1e-6, rtol=0)


def test_nearest_repeats_pixels():
    frames = torch.rand(2, 3, 5, 4)
    want = frames.repeat_interleave(3, -1).repeat_interleave(3, -2)
    assert torch.equal(ResampleRestorer("nearest").restore(frames, Request(scale=3)), want)


def test_target_size_is_hit_exactly():
    out = ResampleRestorer("bicubic").restore(torch.rand(1, 3, 10, 14), Request(size=(33, 29)))
    assert out.shape == (1, 3, 33, 29)


def test_frames_repeat_and_blend_in_time():
    frames = torch.linspace(0, 0.9, 4).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    values = resample_time(frames, 2)[:, 0, 0, 0]
    torch.testing.assert_close(values, torch.tensor([0, 0, 0.3, 0.3, 0.6, 0.6, 0.9, 0.9]))
    values = resample_time(frames, 2, blend=True)[:, 0, 0, 0]
    torch.testing.assert_close(values, torch.tensor([0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.9]))
    assert resample_time(frames, 0.5)[:, 0, 0, 0].tolist() == pytest.approx([0, 0.6])
    assert len(resample_time(frames, 2.5, blend=True)) == 10


def test_frame_rate_request():
    out = ResampleRestorer("nearest").restore(torch.rand(6, 3, 4, 4), Request(scale=1, fps=60, source_fps=24))
    assert out.shape[0] == 15


@pytest.mark.parametrize("arguments", [{"spatial": "cubicle"}, {"temporal": "flow"}])
def test_unknown_rule_names_the_known_ones(arguments):
    with pytest.raises(ConfigError, match=r"must be one of .*, got"):
        ResampleRestorer(**arguments)
