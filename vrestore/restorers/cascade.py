"""CascadeRestorer: restorers in a row, each restoring what the one before it made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError, RequestError, VRestoreError
from vrestore.registry import MODELS
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.capabilities import Capabilities
from vrestore.restorers.cascade_plan import PINNABLE, Stage, compose, plan_requests
from vrestore.restorers.request import Request

STAGE_KEYS = ("model", "weights")


@MODELS.register_module()
class CascadeRestorer(BaseRestorer):
    """A chain of restorers, for example one that raises the frame rate and one that raises the size.

    Its capabilities are those of its stages put together (see `vrestore.restorers.cascade_plan.compose`), and a request
    is split over them (see `plan_requests`): one stage takes the scale and one the frame rate where one can, prompts go
    to the stages that take one, and size and number of frames of the result are those of the request. Each stage pads
    and crops for itself and clamps to [0, 1], exactly as when they are run one after the other by hand.

    Args:
        stages: configs of restorers (MODELS), first to last; ``dict(model=config, weights=file)`` gives a stage its
            weights. `vrestore.load_restorer` also takes names of the zoo, config files and weight files for a model.
        requests: fields of `Request` that are fixed for a stage, a dict for each; ``[dict(scale=1), {}]`` leaves the
            size to the second. A target size and target rate belong to the request of the whole.

    Raises:
        ConfigError: no stages, a stage that is no restorer, or fixed fields that are none; the stage is named.
    """

    def __init__(
        self,
        stages: Sequence[Mapping[str, Any] | BaseRestorer],
        requests: Sequence[Mapping[str, Any]] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if isinstance(stages, (str, Mapping)) or not stages:
            raise ConfigError(f"CascadeRestorer needs stages=[dict(type='…'), …] with at least one, got {stages!r}")
        self.weight_files = {}
        self.stages = nn.ModuleList()
        self._labels: list[str] = []
        for i, stage in enumerate(stages):
            self._add(i, stage, f"stage {i + 1} of {len(stages)}")
        self._pinned = _pinned(requests, self._labels)

    def _add(self, index: int, stage: Any, label: str) -> None:
        model, weights = stage, None
        if isinstance(stage, Mapping) and "model" in stage:
            unknown = [key for key in stage if key not in STAGE_KEYS]
            if unknown:
                raise ConfigError(
                    f"{label}: unknown key '{unknown[0]}' beside 'model' (allowed: {', '.join(STAGE_KEYS)})"
                )
            model, weights = stage["model"], stage.get("weights")
        if isinstance(model, str):
            raise ConfigError(f"{label} is a name, '{model}'; names are looked up by vrestore.load_restorer alone")
        with _blame(label):
            restorer = model if isinstance(model, BaseRestorer) else MODELS.build(dict(model))
        if not isinstance(restorer, BaseRestorer):
            raise ConfigError(f"{label} builds a {type(restorer).__name__}, which is no restorer (BaseRestorer)")
        self.stages.append(restorer)
        self._labels.append(f"{label} ({type(restorer).__name__})")
        for part, file in restorer.weight_files.items():
            self.weight_files[f"stages.{index}.{part}"] = file
        if weights is not None:
            self.weight_files.pop(f"stages.{index}.backbone", None)
            self.weight_files[f"stages.{index}"] = weights

    @property
    def capabilities(self) -> Capabilities:
        return compose(self._plan_stages())

    def stage_requests(self, request: Request, height: int, width: int) -> list[Request]:
        """What each stage is asked when the whole is asked `request` for frames of that height and width.

        Raises:
            RequestError: the request cannot be split over the stages.
        """
        return plan_requests(self._plan_stages(), request, height, width)

    def pad(self, frames_TCHW: Tensor) -> Tensor:
        return frames_TCHW  # each stage pads for itself

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        return torch.cat(list(self.stream_frames(frames_TCHW, request)))

    def stream_frames(self, frames_TCHW: Tensor, request: Request) -> Iterator[Tensor]:
        requests = self.stage_requests(request, *frames_TCHW.shape[-2:])
        last = len(requests) - 1
        for i, (label, stage, asked) in enumerate(zip(self._labels, self._restorers(), requests, strict=True)):
            with _blame(label), self._telling(i, stage):
                if i == last:
                    yield from stage.stream(frames_TCHW, asked)
                else:
                    frames_TCHW = stage.restore(frames_TCHW, asked)

    def check_memory(self, request: Request, frames: int, height: int, width: int) -> None:
        requests = self.stage_requests(request, height, width)
        for label, stage, asked in zip(self._labels, self._restorers(), requests, strict=True):
            with _blame(label):
                stage.check_memory(asked, frames, height, width)
            height, width = stage.output_size(asked, height, width)
            frames = max(round(frames * asked.time_factor()), 1)

    @contextmanager
    def _telling(self, index: int, stage: BaseRestorer) -> Iterator[None]:
        """Pass on what a stage says of its progress, as its share of the whole."""
        tell, count = self.on_progress, len(self.stages)
        if tell is None:
            yield
            return
        before, stage.on_progress = stage.on_progress, lambda done: tell((index + done) / count)
        try:
            yield
            tell((index + 1) / count)
        finally:
            stage.on_progress = before

    def _restorers(self) -> list[BaseRestorer]:
        return list(self.stages)  # type: ignore[arg-type]

    def _plan_stages(self) -> list[Stage]:
        return [
            Stage(label, stage.capabilities, pinned)
            for label, stage, pinned in zip(self._labels, self._restorers(), self._pinned, strict=True)
        ]


@contextmanager
def _blame(label: str) -> Iterator[None]:
    """Name the stage in front of what went wrong in it."""
    try:
        yield
    except VRestoreError as error:
        raise type(error)(f"{label}: {error}") from error


def _pinned(requests: Sequence[Mapping[str, Any]] | None, labels: list[str]) -> list[dict[str, Any]]:
    if requests is None:
        return [{} for _ in labels]
    if len(requests) != len(labels):
        raise ConfigError(f"requests needs one dict for each of the {len(labels)} stages, got {len(requests)}")
    pinned = [dict(fields or {}) for fields in requests]
    for label, fields in zip(labels, pinned, strict=True):
        unknown = [name for name in fields if name not in PINNABLE]
        if unknown:
            raise ConfigError(
                f"{label}: a request cannot fix '{unknown[0]}' for a stage (allowed: {', '.join(PINNABLE)})"
            )
        try:
            Request(**fields)
        except RequestError as error:
            raise ConfigError(f"{label}: {error}") from error
    return pinned
