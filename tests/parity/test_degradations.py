"""Resizing and blur-down against the stored outputs of the official implementations and the published test frames."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from tests.paths import PARITY_DATA, SHARED_DATA, SHARED_PARITY, needs_shared_data
from vrestore.degradations import BicubicDown, BlurDown, RandomBlur, imresize
from vrestore.degradations.blur import KINDS
from vrestore.degradations.blur_down import blur_down, gaussian
from vrestore.degradations.draws import choose
from vrestore.degradations.filtering import filter_frames
from vrestore.degradations.jpeg_simulated import jpeg_simulated
from vrestore.degradations.kernels import bell_kernels, padded, sinc_kernels
from vrestore.degradations.unsharp import unsharp_mask

TOLERANCE = 2e-6
CALENDAR = SHARED_DATA / "bench" / "vid4_calendar"
RNG = np.random.default_rng(0)


def stored(name: str) -> dict[str, np.ndarray]:
    """The whole reference where it is at hand, else the clone's own copy of its smaller arrays."""
    whole = SHARED_PARITY / "baselines" / "goldens" / name
    with np.load(whole if whole.exists() else PARITY_DATA / "degradations" / name) as arrays:
        return dict(arrays)


RESIZED = stored("imresize_matlab_bicubic.npz")
BLURRED = stored("bd_duf_downsample.npz")


@pytest.mark.parametrize("key", [key for key in RESIZED if key != "img"])
def test_imresize(key):
    factor, antialias = key.removeprefix("s").split("_aa")
    scale = 1 / 3 if factor == "0.333333" else float(factor)  # the key prints 1/3 with six digits
    image = torch.from_numpy(RESIZED["img"]).permute(2, 0, 1)
    resized = imresize(image, scale=scale, antialias=antialias == "1").permute(1, 2, 0).numpy()
    assert resized.shape == RESIZED[key].shape
    assert np.abs(resized - RESIZED[key]).max() <= TOLERANCE


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_blur_down(scale):
    clean = torch.from_numpy(BLURRED["x"])
    expected = BLURRED[f"duf_x{scale}"]
    assert np.abs(blur_down(clean, scale, 0.4 * scale).numpy() - expected).max() <= TOLERANCE
    small, record = BlurDown(scale=scale, round_to_8bit=False)(clean, RNG)
    assert np.abs(small.numpy() - expected.clip(0, 1)).max() <= TOLERANCE
    assert record["sigma"] == pytest.approx(0.4 * scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_blur_kernel(scale):
    expected = BLURRED[f"kernel_x{scale}"]
    taps = gaussian(np.arange(-6, 7), 0.4 * scale)
    radius = int(4 * 0.4 * scale + 0.5)
    taps[np.abs(np.arange(-6, 7)) > radius] = 0
    taps /= taps.sum()
    assert np.abs(np.outer(taps, taps) - expected).max() <= 1e-7


def frames_of(folder) -> torch.Tensor:
    images = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


@needs_shared_data
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_published_bicubic_frames_are_met_exactly(dtype):
    small, _ = BicubicDown(scale=4)(frames_of(CALENDAR / "gt").to(dtype) / 255, RNG)
    assert torch.equal((small * 255).round().byte(), frames_of(CALENDAR / "lr_bicubic_x4"))


@needs_shared_data
def test_published_gaussian_frames():
    """DUF's own inputs are cut at 9 x 9 pixels, repeat the edge and are truncated to 8 bit instead of rounded.

    With these three differences every value is met except where a sum falls on a whole level up to float64 noise;
    the operation at its defaults stays within one level of the truncated frames except at the border.
    """
    clean = frames_of(CALENDAR / "gt").double()
    published = frames_of(CALENDAR / "lr_gauss_x4").double()
    exact = blur_down(clean, 4, 1.6, radius=4, border="replicate")
    difference = ((exact + 1e-9).floor() - published).abs()
    assert difference.max() <= 1
    assert (difference > 0).double().mean() < 1e-4

    small, _ = BlurDown()(clean / 255, RNG)
    inner = (small * 255 - published)[..., 2:-2, 2:-2]
    assert -2 <= inner.min() <= inner.max() <= 3
    assert inner.mean() == pytest.approx(0.5, abs=0.02)  # what truncation takes away


@needs_shared_data
def test_calendar_matlab_convention_lies_on_the_bicubic_grid():
    """The centred blur-down shares its sampling grid with bicubic downscaling; DUF's lies 1.5 clean pixels off."""
    clean = frames_of(CALENDAR / "gt").float()[:2] / 255
    bicubic = BicubicDown()(clean, RNG)[0]
    centred = BlurDown(convention="matlab")(clean, RNG)[0]
    first = BlurDown(convention="duf")(clean, RNG)[0]
    assert (bicubic - centred).square().mean() * 3 < (bicubic - first).square().mean()


KERNELS = stored("degradation_kernels.npz")
MIXED = stored("degradation_random_mixed_kernels_seeded.npz")
FORMS = {"gauss": "gaussian", "ggauss": "generalised", "plateau": "plateau"}


@pytest.mark.parametrize("key", sorted(KERNELS))
def test_blur_kernels(key):
    kind, *numbers = key.split("_")
    if kind == "sinc":
        omega, size, pad_to = float(numbers[0]), int(numbers[1]), int(numbers[2])
        kernel = sinc_kernels(size, np.array([omega]))
        kernel = padded(kernel, pad_to) if pad_to else kernel
    else:
        size, (sx, sy, angle, beta) = int(numbers[0][1:]), map(float, numbers[1:5])
        if numbers[5] == "iso1":
            sy, angle = sx, 0.0
        kernel = bell_kernels(size, *(np.array([v]) for v in (sx, sy, angle, beta)), form=FORMS[kind])
    assert np.abs(kernel[0] - KERNELS[key]).max() <= 1e-6
    assert kernel.sum() == pytest.approx(1)


class TwoLegacySources:
    """Draws as the official code does: choices from Python's generator, everything else from NumPy's old one."""

    def __init__(self, seed):
        self.random = random.Random(seed).random
        self.uniform = np.random.RandomState(seed).uniform


@pytest.mark.parametrize("seed", range(6))
def test_random_kernels_are_drawn_in_the_official_order(seed):
    kinds = [kind for kind in KINDS if kind != "sinc"]
    blur = RandomBlur(
        kinds=dict(zip(kinds, (0.45, 0.25, 0.12, 0.03, 0.12, 0.03), strict=True)),
        beta_halves=True,
        **dict.fromkeys(("sigma_step", "angle_step", "beta_gaussian_step", "beta_plateau_step"), 0),
    )
    source = TwoLegacySources(seed)
    kernels, _ = blur.draw(source, choose(source, blur.kinds), 21, n_frames=1)
    assert np.abs(kernels[0] - MIXED[f"seed{seed}"]).max() <= 1e-6


@pytest.fixture(scope="module")
def images():
    """The stored arrays, and how many pixels of the outputs are kept: all, or every second row and third column."""
    whole = SHARED_PARITY / "baselines" / "goldens" / "degradation_filter_usm_jpeg.npz"
    file = whole if whole.exists() else PARITY_DATA / "degradations" / "filter_usm_jpeg_sampled.npz"
    with np.load(file) as arrays:
        return dict(arrays), (1, 1) if whole.exists() else (2, 3)


def same(images, key, output, atol=1e-4):
    arrays, (rows, columns) = images
    assert np.abs(output.numpy()[..., ::rows, ::columns] - arrays[key]).max() <= atol


def test_filtering(images):
    arrays, _ = images
    x = torch.from_numpy(arrays["x"])
    same(images, "filter2D_per_image", filter_frames(x, arrays["kernels"]), 1e-5)
    if "filter2D_shared" in arrays:
        same(images, "filter2D_shared", filter_frames(x, arrays["kernels"][:1]), 1e-5)


def test_unsharp_mask(images):
    same(images, "usm_out", unsharp_mask(torch.from_numpy(images[0]["usm_in"])))


@pytest.mark.parametrize(("key", "quality", "differentiable"), [
    ("jpeg_q30", 30, False), ("jpeg_q60", 60, False), ("jpeg_q95", 95, False), ("jpeg_qvec_30_80", (30.0, 80.0), False),
    ("jpeg_diff_q50", 50, True),
])  # fmt: skip
def test_simulated_jpeg(images, key, quality, differentiable):
    if key not in images[0]:
        pytest.skip("this quality is stored in ../shared/parity alone")
    x = torch.from_numpy(images[0]["x"])
    quality = torch.tensor(quality) if isinstance(quality, tuple) else quality
    same(images, key, jpeg_simulated(x, quality, differentiable))
