"""Blur kernels of the real-world degradations: Gaussian, generalised Gaussian, plateau and sinc, a kernel a frame."""

from __future__ import annotations

import numpy as np
import torch

FORMS = ("gaussian", "generalised", "plateau")


def bell_kernels(
    size: int,
    sigma_x: np.ndarray,
    sigma_y: np.ndarray,
    angle: np.ndarray,
    beta: np.ndarray | None = None,
    form: str = "gaussian",
) -> np.ndarray:
    """Bell-shaped kernels of sum 1, elliptic and turned.

    With q the squared distance in units of the standard deviations, the forms are exp(-q / 2), `generalised`
    exp(-q^beta / 2) and `plateau` 1 / (q^beta + 1), as in Real-ESRGAN (Wang et al., ICCVW 2021).

    Args:
        size: side in pixels, odd.
        sigma_x, sigma_y: standard deviations in pixels along the turned axes, (T,).
        angle: of the first axis against the image's rows, in radians, (T,).
        beta: exponent of the two latter forms, (T,).
        form: one of FORMS.

    Returns:
        (T, size, size) float64.
    """
    offsets = np.arange(size) - size // 2
    x, y = offsets[None, None, :], offsets[None, :, None]
    cos, sin = np.cos(angle), np.sin(angle)
    narrow_x, narrow_y = 1 / np.square(sigma_x), 1 / np.square(sigma_y)
    xx, yy = cos**2 * narrow_x + sin**2 * narrow_y, sin**2 * narrow_x + cos**2 * narrow_y
    xy = sin * cos * (narrow_x - narrow_y)
    q = xx[:, None, None] * x**2 + 2 * xy[:, None, None] * x * y + yy[:, None, None] * y**2
    if form == "gaussian":
        kernels = np.exp(-0.5 * q)
    else:
        assert beta is not None
        q = np.maximum(q, 0) ** beta[:, None, None]
        kernels = np.exp(-0.5 * q) if form == "generalised" else 1 / (q + 1)
    return kernels / kernels.sum((1, 2), keepdims=True)


def sinc_kernels(size: int, omega: np.ndarray) -> np.ndarray:
    """Ideal circular low-pass filters, which ring: omega J1(omega r) / (2 pi r), normalised to sum 1.

    Args:
        size: side in pixels, odd.
        omega: cut-off in radians a pixel, up to pi, (T,).

    Returns:
        (T, size, size) float64.
    """
    offsets = np.arange(size) - size // 2
    r = np.hypot(offsets[:, None], offsets[None, :])[None]
    omega = np.asarray(omega, dtype=np.float64)[:, None, None]
    r[0, size // 2, size // 2] = 1  # replaced below by the limit
    kernels = omega * torch.special.bessel_j1(torch.from_numpy(omega * r)).numpy() / (2 * np.pi * r)
    kernels[:, size // 2, size // 2] = omega[:, 0, 0] ** 2 / (4 * np.pi)
    return kernels / kernels.sum((1, 2), keepdims=True)


def padded(kernels: np.ndarray, size: int) -> np.ndarray:
    """The kernels (T, k, k) with zeros around, (T, size, size)."""
    margin = (size - kernels.shape[-1]) // 2
    return np.pad(kernels, ((0, 0), (margin, margin), (margin, margin)))
