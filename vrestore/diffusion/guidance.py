"""Classifier-free guidance with rescaling and within an interval of noise levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from vrestore.errors import ConfigError


@dataclass(frozen=True)
class Guidance:
    """How the outputs with and without the conditions are mixed.

    Attributes:
        scale: weight g of ``negative + g (positive - negative)`` (arXiv 2207.12598). At 1 the network is called with
            the positive conditions alone.
        rescale: how far the standard deviation is brought back to the positive output's, 0 to 1 (arXiv 2305.08891,
            equation 16, here as a factor on the mix). VEnhancer: 0.2.
        interval: lowest and highest k_sigma at which guidance acts (arXiv 2404.07724); outside of it the network is
            called with the positive conditions alone. None is everywhere.
        batched: one network call on both halves instead of two: quicker where the accelerator has memory to spare.

    Raises:
        ConfigError: a value out of its range.
    """

    scale: float = 7.5
    rescale: float = 0.0
    interval: tuple[float, float] | None = None
    batched: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale) or self.scale < 0:
            raise ConfigError(f"guidance scale must be a finite number >= 0, got {self.scale!r}")
        if not 0 <= self.rescale <= 1:
            raise ConfigError(f"guidance rescale must lie from 0 to 1, got {self.rescale!r}")
        if self.interval is not None and not 0 <= self.interval[0] <= self.interval[1]:
            raise ConfigError(f"guidance interval must be (lowest, highest) noise level >= 0, got {self.interval!r}")

    def acts_at(self, sigma: float) -> bool:
        """Whether both outputs are needed at a k_sigma."""
        inside = self.interval is None or self.interval[0] <= sigma <= self.interval[1]
        return inside and self.scale != 1.0

    def mix(self, positive: Tensor, negative: Tensor) -> Tensor:
        """The guided output of two network outputs (B, …), whatever the network predicts."""
        mixed = negative + self.scale * (positive - negative)
        if self.rescale == 0 or positive[0].numel() < 2:
            return mixed
        ratio = _deviation(positive) / (_deviation(mixed) + 1e-12)
        return mixed * (self.rescale * ratio + (1 - self.rescale))


def _deviation(x: Tensor) -> Tensor:
    return x.flatten(1).std(dim=1).view(-1, *[1] * (x.ndim - 1))
