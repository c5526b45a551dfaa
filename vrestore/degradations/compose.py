"""Degradations made of others: one after another, in a drawn order, or by chance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from vrestore.degradations.base import CONDITIONS, Degradation, Record, check_clip, plain_number
from vrestore.degradations.draws import check_prob
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS


@DEGRADATIONS.register_module()
class Compose(Degradation):
    """Applies `steps` in their order, all drawing from the one generator.

    The merged record keeps each step's own record, in order, under `steps`; its `scale` is that of the whole chain.
    What conditions a model (`base.CONDITIONS`) is lifted to the merged record.

    Args:
        steps: degradations, or configs of DEGRADATIONS.
        protocol: a short name for tables; None joins those of the steps.

    Raises:
        ConfigError: there is no step.
    """

    def __init__(self, steps: list, protocol: str | None = None):
        if not isinstance(steps, (list, tuple)) or not steps:
            raise ConfigError(
                f"{type(self).__name__} (DEGRADATIONS) needs a list of at least one degradation in 'steps', got "
                f"{steps!r}"
            )
        if protocol is not None and not isinstance(protocol, str):
            raise ConfigError(f"{type(self).__name__} (DEGRADATIONS): protocol must be a short text, got {protocol!r}")
        self.steps: list[Any] = [_built(step, type(self).__name__) for step in steps]
        self.scale, self.draws_size, self.sets_size = _size_rule(self.steps)
        self._knows_input = False
        self._protocol = protocol

    @property
    def protocol(self) -> str:
        return self._protocol or "+".join(getattr(step, "protocol", type(step).__name__) for step in self.steps)

    def for_input(self, height: int, width: int) -> Compose:
        """A copy whose steps know the size of the clean clip."""
        bound = copy.copy(self)
        bound.steps = [_for_input(step, height, width) for step in self.steps]
        bound._knows_input = True
        return bound

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        chain = self if self._knows_input else self.for_input(*frames_TCHW.shape[-2:])
        order, drawn = chain._order(rng)
        records = []
        for index in order:
            frames_TCHW, record = chain.steps[index](frames_TCHW, rng)
            records.append(record)
        scale = float(np.prod([float(record.get("scale", 1)) for record in records]))
        # Sizes that were rounded on the way multiply to the whole factor only nearly.
        scale = self.scale if abs(scale - self.scale) < 1e-6 else plain_number(scale)
        lifted = {key: record[key] for record in records for key in CONDITIONS if key in record}
        return frames_TCHW, {"name": type(self).__name__, "scale": scale, **drawn, **lifted, "steps": records}

    def _order(self, rng: np.random.Generator) -> tuple[Sequence[int], Record]:
        """Indices of the steps in the order to apply them in, and what to record of it."""
        return range(len(self.steps)), {}


@DEGRADATIONS.register_module()
class Shuffle(Compose):
    """Applies `steps` in a drawn order, every order alike; the record has it under `order`.

    Args:
        steps: degradations, or configs of DEGRADATIONS.
        protocol: a short name for tables; None joins those of the steps.

    Raises:
        ConfigError: there is no step.
    """

    def _order(self, rng: np.random.Generator) -> tuple[Sequence[int], Record]:
        order = [int(index) for index in rng.permutation(len(self.steps))]
        return order, {"order": order}


@DEGRADATIONS.register_module()
class Chance(Degradation):
    """Applies a degradation with a probability, and else leaves the clip as it is.

    Args:
        step: a degradation, or a config of DEGRADATIONS. One that shrinks by a fixed factor has no place here.
        prob: probability of applying it.

    Raises:
        ConfigError: `prob` is no probability, or the step changes the size by a fixed factor.
    """

    def __init__(self, step: Any, prob: float = 0.5):
        self.prob = check_prob("Chance", "prob", prob)
        self.step: Any = _built(step, "Chance")
        if getattr(self.step, "scale", 1) != 1 and prob != 1:
            raise ConfigError(
                f"Chance (DEGRADATIONS): step must keep the size, but {type(self.step).__name__} has the scale "
                f"{self.step.scale:g}; a clip of either size fits no model"
            )
        self.draws_size = getattr(self.step, "draws_size", False)

    @property
    def protocol(self) -> str:
        return f"{getattr(self.step, 'protocol', type(self.step).__name__)}?"

    def for_input(self, height: int, width: int) -> Chance:
        """A copy whose step knows the size of the clean clip."""
        bound = copy.copy(self)
        bound.step = _for_input(self.step, height, width)
        return bound

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        applied = bool(rng.random() < self.prob)
        record: Record = {"name": "Chance", "scale": 1, "applied": applied}
        if not applied:
            return frames_TCHW, record
        frames_TCHW, inner = self.step(frames_TCHW, rng)
        lifted = {key: inner[key] for key in CONDITIONS if key in inner}
        return frames_TCHW, {**record, "scale": inner.get("scale", 1), **lifted, "step": inner}


def _built(step: Any, owner: str) -> Any:
    if callable(step):
        return step
    if not isinstance(step, Mapping):
        raise ConfigError(f"{owner} (DEGRADATIONS): a step is a dict(type='…', …) or a degradation, got {step!r}")
    return DEGRADATIONS.build(dict(step))


def _for_input(step: Callable, height: int, width: int) -> Callable:
    return step.for_input(height, width) if isinstance(step, Degradation) else step


def _size_rule(steps: Sequence[Any]) -> tuple[float, bool, bool]:
    """`scale`, `draws_size` and `sets_size` of a chain."""
    scale, drawn, sets = 1.0, False, False
    for step in steps:
        own = float(getattr(step, "scale", 1))
        if getattr(step, "sets_size", False):
            scale, drawn, sets = own, False, True
        else:
            scale *= own
            drawn = drawn or getattr(step, "draws_size", False)
    return plain_number(scale), drawn, sets
