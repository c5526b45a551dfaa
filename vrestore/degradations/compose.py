"""Compose: several degradations, one after another."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, plain_number
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class Compose(Degradation):
    """Applies `steps` in their order, all drawing from the one generator.

    Args:
        steps: degradations, or configs of DEGRADATIONS.

    The merged record keeps each step's own record, in order, under `steps`; its `scale` is the product of theirs.

    Raises:
        ConfigError: there is no step.
    """

    def __init__(self, steps: list):
        if not isinstance(steps, (list, tuple)) or not steps:
            raise ConfigError(
                f"Compose (DEGRADATIONS) needs a list of at least one degradation in 'steps', got {steps!r}"
            )
        self.steps: list[Degradation] = [s if callable(s) else DEGRADATIONS.build(s) for s in steps]
        self.scale = plain_number(math.prod(float(getattr(step, "scale", 1)) for step in self.steps))

    @property
    def protocol(self) -> str:
        return "+".join(getattr(step, "protocol", type(step).__name__) for step in self.steps)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        records = []
        for step in self.steps:
            frames_TCHW, record = step(frames_TCHW, rng)
            records.append(record)
        scale = plain_number(math.prod(float(record.get("scale", 1)) for record in records))
        return frames_TCHW, {"name": "Compose", "scale": scale, "steps": records}
