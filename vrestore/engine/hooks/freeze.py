"""FreezeHook: parameters that stay as they are for the first iterations."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from vrestore.errors import ConfigError
from vrestore.registry import HOOKS


@HOOKS.register_module()
class FreezeHook(Hook):
    """Keeps the named parameters unchanged for the first `iters` iterations, e.g. a pretrained SPyNet.

    Args:
        names: a part of the model (``'backbone.spynet'``), a parameter, or a pattern (``'backbone.*.bias'``).
        iters: iterations to keep them frozen.

    Raises:
        ConfigError: a name that no parameter has.
    """

    priority = "HIGH"

    def __init__(self, names: str | list[str], iters: int):
        if not isinstance(iters, int) or iters < 1:
            raise ConfigError(f"FreezeHook: iters must be a whole number >= 1, got {iters!r}")
        self.names = [names] if isinstance(names, str) else list(names)
        self.iters = iters

    def before_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._parameters = matching_parameters(model, self.names)
        self._set(runner, frozen=runner.iter < self.iters)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if batch_idx == self.iters:
            self._set(runner, frozen=False)

    def _set(self, runner, frozen: bool) -> None:
        ours = {id(p) for p in self._parameters}
        others = [p for p in runner.optim_wrapper.frozen if id(p) not in ours]
        runner.optim_wrapper.frozen = others + (self._parameters if frozen else [])
        if not runner.distributed:  # spares their backward pass; DistributedDataParallel needs every gradient it knows
            for parameter in self._parameters:
                parameter.requires_grad_(not frozen)


def matching_parameters(model: nn.Module, names: list[str]) -> list[nn.Parameter]:
    """The parameters that one of the names means.

    Raises:
        ConfigError: a name means none; the message names the closest.
    """
    parameters = dict(model.named_parameters())
    found: dict[str, nn.Parameter] = {}
    for name in names:
        hits = {k: p for k, p in parameters.items() if k == name or k.startswith(f"{name}.") or fnmatchcase(k, name)}
        if not hits:
            known = [n for n, _ in model.named_modules() if n] + list(parameters)
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            raise ConfigError(
                f"'{name}' names no parameter of {type(model).__name__}; closest: {', '.join(close) or known[0]}"
            )
        found |= hits
    return list(found.values())
