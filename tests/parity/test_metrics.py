"""PSNR, SSIM, NIQE, colour and LPIPS give the numbers of the reference code."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.parity.references import make_weights
from tests.paths import PARITY_DATA, SHARED_PARITY, needs_shared_parity
from vrestore.evaluation import LPIPS, NIQE, PSNR, SSIM
from vrestore.evaluation.colour import rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb


def stored(name: str) -> dict[str, np.ndarray]:
    with np.load(PARITY_DATA / "metrics" / f"{name}.npz") as arrays:
        return dict(arrays)


def clip_of(image_bgr: np.ndarray) -> torch.Tensor:
    """One frame (1, 3, H, W), RGB in [0, 1], of an 8-bit BGR image (H, W, 3)."""
    return torch.from_numpy(image_bgr[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("crop_border", [0, 4, 8])
@pytest.mark.parametrize("colour", ["RGB", "Y"])
@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_psnr_and_ssim_equal_the_reference(metric, colour, crop_border):
    reference = stored("psnr_ssim")
    got = metric(convert_to=colour, crop_border=crop_border).score(
        clip_of(reference["img2"]), clip_of(reference["img1"])
    )
    wanted = float(reference[f"{metric.metric.lower()}_cb{crop_border}_{colour.lower()}"])
    # The reference states 1e-4; the arithmetic is the same down to the order of float64 sums.
    assert got == pytest.approx([wanted], abs=1e-9)


@pytest.mark.parametrize("crop_border", [0, 4])
@pytest.mark.parametrize("image", ["img", "noisy", "blur"])
def test_niqe_equals_the_reference(image, crop_border):
    reference = stored("niqe")
    got = NIQE(crop_border=crop_border).score(clip_of(reference[image]))
    wanted = float(reference[f"niqe_{image}_cb{crop_border}_y"])
    assert got == pytest.approx([wanted], abs=float(reference["tolerance"]))


def test_colour_equals_the_reference():
    reference = stored("ycbcr")
    tolerance = float(reference["tolerance"])
    rgb = clip_of(reference["img_bgr"])

    def image(frames: torch.Tensor) -> np.ndarray:
        return frames[0].permute(1, 2, 0).numpy()

    np.testing.assert_allclose(image(rgb_to_y(rgb))[..., 0], reference["bgr2y"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(image(rgb_to_y(rgb.flip(1)))[..., 0], reference["rgb2y"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(image(rgb_to_ycbcr(rgb)), reference["bgr2ycbcr"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(rgb_to_ycbcr(rgb.flip(1)).numpy(), reference["rgb2ycbcr_pt"], atol=tolerance, rtol=0)
    back = ycbcr_to_rgb(torch.from_numpy(reference["bgr2ycbcr"]).permute(2, 0, 1)[None])
    np.testing.assert_allclose(image(back)[..., ::-1], reference["ycbcr2bgr"], atol=tolerance, rtol=0)
    levels = (rgb_to_y(rgb.double()) * 255).round()[0, 0].numpy()
    np.testing.assert_array_equal(levels, reference["bgr2y_uint8"])


@needs_shared_parity
@pytest.mark.parametrize("name", ["psnr_ssim", "niqe", "ycbcr"])
def test_the_copied_references_are_those_of_the_manifest(name):
    folder = SHARED_PARITY / "baselines"
    entries = json.loads((folder / "goldens.json").read_text())["goldens"]
    entry = next(e for e in entries if e["name"] == f"metrics/{name}")
    copied = stored(name)
    assert copied.pop("tolerance") == entry["tolerance"]
    with np.load(folder / entry["file"]) as arrays:
        assert set(arrays) == set(copied)
        for key, value in arrays.items():
            np.testing.assert_allclose(copied[key], value, rtol=1e-6)


@pytest.fixture(scope="module")
def alexnet_file(tmp_path_factory):
    """Backbone weights made by name, under torchvision's names."""
    shapes = {
        "features.0": (64, 3, 11, 11),
        "features.3": (192, 64, 5, 5),
        "features.6": (384, 192, 3, 3),
        "features.8": (256, 384, 3, 3),
        "features.10": (256, 256, 3, 3),
    }
    named = {f"{name}.weight": shape for name, shape in shapes.items()}
    named |= {f"{name}.bias": shape[:1] for name, shape in shapes.items()}
    file = tmp_path_factory.mktemp("lpips") / "alexnet_by_name.pth"
    torch.save(make_weights(named, gain=1.5), file)
    return file


def picture_pair() -> tuple[torch.Tensor, torch.Tensor]:
    reference = stored("psnr_ssim")
    return clip_of(reference["img2"]), clip_of(reference["img1"])


def test_lpips_equals_the_package_with_the_same_weights(alexnet_file):
    package = pytest.importorskip("lpips")
    pred, hq = picture_pair()
    got = LPIPS(net="alex", backbone_weights=str(alexnet_file)).score(pred, hq)

    weights = torch.load(alexnet_file, weights_only=True)
    official = package.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    official.net.load_state_dict(
        {name: weights[f"features.{name.split('.', 1)[1]}"] for name in official.net.state_dict()}
    )
    with torch.no_grad():
        wanted = official(pred, hq, normalize=True).item()
    assert wanted > 1e-3
    assert got == pytest.approx([wanted], rel=1e-5)


def test_lpips_equals_its_definition(alexnet_file):
    """Equation 1 of Zhang et al. 2018, written out: unit-normalised features, weighted squared differences, means."""
    package = pytest.importorskip("lpips")
    pred, hq = picture_pair()
    got = LPIPS(net="alex", backbone_weights=str(alexnet_file)).score(pred, hq)

    weights = torch.load(alexnet_file, weights_only=True)
    heads = torch.load(package.__file__.replace("__init__.py", "weights/v0.1/alex.pth"), "cpu", weights_only=True)
    mean, std = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def features(frames: torch.Tensor) -> list[torch.Tensor]:
        x = (frames * 2 - 1 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
        found = []
        for layer, (stride, padding, pooled) in {
            0: (4, 2, 0),
            3: (1, 2, 1),
            6: (1, 1, 1),
            8: (1, 1, 0),
            10: (1, 1, 0),
        }.items():
            x = F.max_pool2d(x, 3, 2) if pooled else x
            x = F.relu(
                F.conv2d(x, weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"], stride, padding)
            )
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    distance = sum(
        (F.conv2d((a - b).square(), heads[f"lin{i}.model.1.weight"])).mean().item()
        for i, (a, b) in enumerate(zip(features(pred), features(hq), strict=True))
    )
    assert got == pytest.approx([distance], rel=1e-5)
