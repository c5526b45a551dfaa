"""Prediction types: what a network's output means, and its translation to the clean data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vrestore.errors import ConfigError, RequestError

PREDICTIONS = ("v", "eps", "x0")


def to_x0(prediction: str, output: Tensor, noised: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The clean data that a network's output stands for.

    Args:
        prediction: ``v`` (``alpha noise - sigma x0``, arXiv 2202.00512), ``eps`` (the noise) or ``x0`` (the data).
        output: of the network.
        noised: ``alpha x0 + sigma noise``, what the network saw.
        alpha, sigma: levels that broadcast against them.

    Raises:
        ConfigError: an unknown prediction type.
        RequestError: ``eps`` at a level without any signal, where the noise says nothing about the data.
    """
    check_prediction(prediction)
    if prediction == "v":
        return alpha * noised - sigma * output
    if prediction == "x0":
        return output
    if bool((alpha == 0).any()):
        raise RequestError(
            "a network that predicts the noise ('eps') cannot start from pure noise, where alpha is 0; "
            "start at a timestep below the schedule's last one (t_max)"
        )
    return (noised - sigma * output) / alpha


def to_eps(x0: Tensor, noised: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The noise that is left when the data is taken out of `noised`."""
    return (noised - alpha * x0) / sigma


def target(prediction: str, x0: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a network of a prediction type is trained to give for ``alpha x0 + sigma noise``."""
    check_prediction(prediction)
    if prediction == "v":
        return alpha * noise - sigma * x0
    return noise if prediction == "eps" else x0


def clamp_x0(x0: Tensor, limit: float) -> Tensor:
    """Clamp data to ±limit."""
    return x0.clamp(-limit, limit)


def threshold_x0(x0: Tensor, quantile: float) -> Tensor:
    """Dynamic thresholding (Imagen, arXiv 2205.11487, section 2.3), for data in [-1, 1].

    Each sample is clamped at the given quantile of its magnitudes, at least 1, and divided by it.
    """
    magnitudes = x0.flatten(1).abs()
    rank = quantile * (magnitudes.shape[1] - 1)
    # torch.quantile does the same, but refuses more than 16 million values.
    low = magnitudes.kthvalue(int(rank) + 1, dim=1).values
    high = magnitudes.kthvalue(math.ceil(rank) + 1, dim=1).values
    limit = torch.lerp(low, high, rank - int(rank)).clamp(min=1.0).view(-1, *[1] * (x0.ndim - 1))
    return torch.minimum(torch.maximum(x0, -limit), limit) / limit


def check_prediction(prediction: str) -> None:
    """Raise a ConfigError for an unknown prediction type."""
    if prediction not in PREDICTIONS:
        raise ConfigError(f"prediction must be one of {', '.join(PREDICTIONS)}, got {prediction!r}")
