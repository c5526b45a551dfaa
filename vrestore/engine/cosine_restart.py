"""CosineAnnealingRestartLR: the learning rate falls by a cosine, again and again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from mmengine.optim import _ParamScheduler

from vrestore.errors import ConfigError
from vrestore.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingRestartLR(_ParamScheduler):
    """Cosine annealing with restarts (Loshchilov and Hutter, ICLR 2017), as BasicSR's recipes count and weigh it.

    After n iterations the rate is ``eta_min + w / 2 (lr - eta_min) (1 + cos(pi (n - start) / period))`` with the period
    that n lies in, its `start` and its weight w. The iteration in which a period ends belongs to it, and the restart is
    the one after; beyond the last period the rate stays at `eta_min`. Each value is computed from n alone: no rounding
    adds up over a long run. MMEngine's ``CosineRestartLR`` weighs the rate alone, not its distance to `eta_min`, and
    restarts an iteration earlier.

    Args:
        optimizer: the optimiser.
        periods: iterations of each period.
        restart_weights: of each period.
        eta_min: lowest rate.
        begin, end: iterations between which it acts; it counts from `begin`.
        last_step, by_epoch, verbose: of MMEngine's schedules.

    Raises:
        ConfigError: periods and weights that do not go together.
    """

    def __init__(
        self,
        optimizer: Any,
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1,),
        eta_min: float = 0.0,
        begin: int = 0,
        end: int = 10**9,
        last_step: int = -1,
        by_epoch: bool = False,
        verbose: bool = False,
    ):
        periods, weights = list(periods), list(restart_weights)
        if not periods or any(not isinstance(p, int) or p < 1 for p in periods):
            raise ConfigError(f"CosineAnnealingRestartLR: periods must be whole numbers >= 1, got {periods!r}")
        if len(weights) != len(periods):
            raise ConfigError(
                f"CosineAnnealingRestartLR: periods and restart_weights must be as many, got {len(periods)} and "
                f"{len(weights)}"
            )
        self.periods, self.restart_weights, self.eta_min = periods, weights, eta_min
        super().__init__(optimizer, "lr", begin, end, last_step, by_epoch, verbose)

    def _get_value(self) -> list[float]:
        part = self._part()
        return [self.eta_min + part * (rate - self.eta_min) for rate in self.base_values]

    def _part(self) -> float:
        """What is left of a rate above the lowest one."""
        for period, ends, weight in zip(self.periods, accumulate(self.periods), self.restart_weights, strict=True):
            if self.last_step <= ends:
                return weight / 2 * (1 + math.cos(math.pi * (self.last_step - (ends - period)) / period))
        return 0.0
