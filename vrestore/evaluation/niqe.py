"""NIQE: distance of a frame's local statistics from those of undistorted photographs; needs no ground truth."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.degradations.resize import imresize
from vrestore.errors import ConfigError, NotMeasuredError
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_clip, check_options, levels, score_name
from vrestore.evaluation.protocol import content_hash
from vrestore.layers.ssim import gaussian_taps
from vrestore.registry import METRICS

BLOCK_PX = 96
WINDOW_PX, SIGMA_PX = 7, 7 / 6
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (down, right)
SHAPES = np.arange(0.2, 10.001, 0.001)  # shape parameters among which the fit looks


@METRICS.register_module()
class NIQE(Metric):
    """Natural image quality evaluator (Mittal, Soundararajan, Bovik 2013); lower is better.

    On the rounded luma, 96x96 blocks without overlap at two scales, 18 features each, with the model of undistorted
    images of the authors' release (see `data/NIQE_NOTICE.txt`). NIQE values of MATLAB, of Python and of JPEGs differ
    from one another by a few per cent: compare within one table only.

    Args:
        convert_to: `Y` of BT.601, the only colour the published model serves.
        crop_border: pixels left out on every side.
        collect_device, prefix, collect_dir: of MMEngine's BaseMetric.
    """

    metric = "NIQE"
    higher_is_better = False
    needs_reference = False

    def __init__(self, convert_to: str = "Y", crop_border: int = 0, **mmengine: Any):
        super().__init__(**mmengine)
        check_options("NIQE", convert_to, crop_border)
        if convert_to != "Y":
            raise ConfigError(f"NIQE is defined on luma: convert_to must be 'Y', got {convert_to!r}")
        self.crop_border = crop_border

    @property
    def name(self) -> str:
        return "NIQE" if not self.crop_border else score_name("NIQE", "Y", self.crop_border)

    @property
    def protocol(self) -> dict[str, Any]:
        mean, covariance = pristine_model()
        return self.base_protocol(
            colour="Y of BT.601",
            crop_border=self.crop_border,
            rounding="uint8, luma rounded too",
            blocks=f"{BLOCK_PX}x{BLOCK_PX}, 2 scales",
            precision="float32 images, float64 statistics",
            weights=content_hash(mean, covariance),
        )

    def score(self, pred_TCHW: Tensor, hq_TCHW: Tensor | None = None) -> list[float]:
        check_clip(pred_TCHW)
        return [niqe(levels(frame, "Y", self.crop_border, True)[0].round()) for frame in pred_TCHW]


def niqe(luma_HW: Tensor) -> float:
    """NIQE of one luma image (H, W), float64 code values 0..255; NaN when fewer than two of its blocks have texture.

    Raises:
        NotMeasuredError: the image holds fewer than two blocks.
    """
    h, w = luma_HW.shape
    rows, columns = h // BLOCK_PX, w // BLOCK_PX
    if rows * columns < 2:
        raise NotMeasuredError(
            f"NIQE needs at least two blocks of {BLOCK_PX}x{BLOCK_PX} pixels, a frame of {w}x{h} has not"
        )
    image = luma_HW[: rows * BLOCK_PX, : columns * BLOCK_PX].float()
    scales = ((BLOCK_PX, image), (BLOCK_PX // 2, _half(image)))
    features = np.concatenate([_block_features(_normalise(scaled), px) for px, scaled in scales], axis=1)
    whole = features[~np.isnan(features).any(1)]
    if len(whole) < 2:
        return float("nan")
    mean, covariance = pristine_model()
    difference = mean - np.nanmean(features, axis=0)
    spread = np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(difference @ spread @ difference))


@lru_cache(maxsize=1)
def pristine_model() -> tuple[np.ndarray, np.ndarray]:
    """Mean (36,) and covariance (36, 36) of the features of undistorted images, from the authors' release."""
    with (files("vrestore.evaluation") / "data" / "niqe_model.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        return stored["mean"], stored["covariance"]


# Images are rounded to float32 where the reference code rounds them: with few blocks the distance is so ill-conditioned
# that float64 throughout moves it by up to 0.015 (measured on smooth images of six blocks).


def _half(image_HW: Tensor) -> Tensor:
    """The image at half its size (MATLAB's bicubic, antialiased), rounded to float32 after each axis."""
    rows = imresize((image_HW / 255).double(), scale=(0.5, 1.0)).float()
    return imresize(rows.double(), scale=(1.0, 0.5)).float() * 255


def _normalise(image_HW: Tensor) -> np.ndarray:
    """Mean-subtracted contrast-normalised image: (x - mu) / (sigma + 1) under a Gaussian window, borders repeated."""
    taps, reach = gaussian_taps(WINDOW_PX, SIGMA_PX), WINDOW_PX // 2

    def blur(values: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(values.double()[None, None], (reach,) * 4, mode="replicate")[0, 0]
        for dim in (0, 1):
            n = padded.shape[dim] - 2 * reach
            total = padded.narrow(dim, 0, n) * taps[0]
            for k in range(1, WINDOW_PX):
                total = torch.add(total, padded.narrow(dim, k, n), alpha=taps[k])
            padded = total
        return padded.float()

    mu = blur(image_HW)
    sigma = (blur(image_HW.square()) - mu.square()).abs().sqrt()
    return ((image_HW - mu) / (sigma + 1)).numpy()


def _block_features(image_HW: np.ndarray, block_px: int) -> np.ndarray:
    """18 features a block: the generalised Gaussian of its values and of its products with four neighbours."""
    rows, columns = image_HW.shape[0] // block_px, image_HW.shape[1] // block_px
    blocks = image_HW.reshape(rows, block_px, columns, block_px).swapaxes(1, 2).reshape(-1, block_px, block_px)
    shape, left, right = _fit(blocks)
    features = [shape, (left + right) / 2]
    for shift in NEIGHBOURS:
        # Neighbours wrap around inside a block, as in the authors' code.
        shape, left, right = _fit(blocks * np.roll(blocks, shift, axis=(1, 2)))
        ratio = _gamma(2 / shape) / _gamma(1 / shape)
        features += [shape, (right - left) * ratio, left, right]
    return np.stack(features, axis=1)


def _fit(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape, left and right scale of an asymmetric generalised Gaussian, by moment matching (Lasmar et al. 2009)."""
    left, right, wanted = _moments(blocks.reshape(len(blocks), -1).astype(np.float64))
    table = _ratio_table()
    above = np.clip(np.searchsorted(table, wanted), 1, len(table) - 1)  # the table rises with the shape
    nearer_below = np.abs(table[above - 1] - wanted) <= np.abs(table[above] - wanted)
    # A block without moments takes the first entry, as the authors' code does: it still counts in the mean.
    index = np.where(np.isnan(wanted), 0, np.where(nearer_below, above - 1, above))
    shape = SHAPES[index]
    scale = np.sqrt(_gamma(1 / shape) / _gamma(3 / shape))
    return shape, left * scale, right * scale


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right standard deviation and the ratio that fixes the shape, a block; NaN where a block is flat.

    Args:
        values: (blocks, pixels).
    """
    above = np.maximum(values, 0)
    below = above - values
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt(np.einsum("bp,bp->b", below, below) / np.count_nonzero(below, axis=1))
        right = np.sqrt(np.einsum("bp,bp->b", above, above) / np.count_nonzero(above, axis=1))
        skew = left / right
        mean_square = np.einsum("bp,bp->b", values, values) / values.shape[1]
        flatness = ((above.sum(1) + below.sum(1)) / values.shape[1]) ** 2 / mean_square
        wanted = flatness * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    return left, right, wanted


@lru_cache(maxsize=1)
def _ratio_table() -> np.ndarray:
    return _gamma(2 / SHAPES) ** 2 / (_gamma(1 / SHAPES) * _gamma(3 / SHAPES))


def _gamma(x: np.ndarray) -> np.ndarray:
    return torch.lgamma(torch.as_tensor(x, dtype=torch.float64)).exp().numpy()
