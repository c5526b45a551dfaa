"""Data whose diffusion is known exactly: independent normal numbers, each with its own mean and deviation."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class GaussianData:
    """``x0 ~ N(mean, deviation**2)``: its denoiser, its probability-flow ODE, and its law at every noise level."""

    def __init__(self, mean: Tensor, deviation: Tensor):
        self.mean, self.deviation = mean, deviation

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean of x0 given ``x = x0 + sigma noise``."""
        if math.isinf(sigma):
            return self.mean.expand_as(x)
        kept = self.deviation**2 / (self.deviation**2 + sigma**2)
        return self.mean + kept * (x - self.mean)

    def deviation_at(self, sigma: float) -> Tensor:
        """Standard deviation of ``x0 + sigma noise``."""
        return torch.sqrt(self.deviation**2 + sigma**2)

    def flow(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        """Where the probability-flow ODE carries x from one level to another: along its own quantile."""
        return self.mean + (x - self.mean) * self.deviation_at(sigma_next) / self.deviation_at(sigma)


def some_data() -> GaussianData:
    return GaussianData(
        torch.tensor([0.5, -1.0, 0.2, 0.0], dtype=torch.float64), torch.tensor([0.3, 0.8, 1.5, 2.0]).double()
    )


def levels(steps: int, high: float = 20.0, low: float = 0.1, power: float = 1.0) -> list[float]:
    """Falling noise levels, evenly spaced in log; a power above 1 makes the first steps small."""
    start, end = -math.log(high), -math.log(low)
    return [math.exp(-(start + (end - start) * (i / steps) ** power)) for i in range(steps + 1)]


def slope(steps: list[int], errors: list[float]) -> float:
    """Order of convergence: minus the slope of a line through log error over log steps."""
    x = torch.tensor(steps).double().log()
    y = torch.tensor(errors).double().log()
    x, y = x - x.mean(), y - y.mean()
    return -float((x * y).sum() / (x * x).sum())
