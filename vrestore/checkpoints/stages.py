"""Restorers within a restorer: stages that a config names by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

# Name of a restorer, and whether its weights are wanted -> its config and weight file.
Resolve = Callable[[str, bool], tuple[Any, str | None]]


def resolve_stages(model: Mapping[str, Any], resolve: Resolve) -> dict[str, Any]:
    """A restorer's config in which stages that are names have become ``dict(model=config, weights=file)``.

    Args:
        model: the config; one without ``stages`` comes back as it is.
        resolve: looks a name up.
    """
    if not isinstance(model.get("stages"), (list, tuple)):
        return dict(model)
    return {**model, "stages": [_resolved(stage, resolve) for stage in model["stages"]]}


def _resolved(stage: Any, resolve: Resolve) -> Any:
    wrapped = isinstance(stage, Mapping) and "model" in stage
    rest = {key: value for key, value in stage.items() if key != "model"} if wrapped else {}
    model = stage["model"] if wrapped else stage
    if isinstance(model, (str, os.PathLike)):
        model, weights = resolve(os.fspath(model), rest.get("weights") is None)
        rest = {"weights": weights, **rest} if weights is not None else rest
    if isinstance(model, Mapping):
        model = resolve_stages(model, resolve)
    return {"model": model, **rest} if rest else model
