"""Methods of a benchmark: what a config names, loaded, with the identity that its results hang on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vrestore.checkpoints.reference import REFERENCE
from vrestore.config import check_keys
from vrestore.errors import ConfigError
from vrestore.evaluation.protocol import to_plain
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.request import Request

METHOD_KEYS = ("name", "model", "weights", "request")


@dataclass
class Method:
    """One line of the table.

    Attributes:
        name: what the table calls it.
        model: a name of the model zoo, a restorer's config, or a restorer.
        weights: file that overrides the model's own weights, or ``reference:`` (see `load_restorer`).
        request: fields of `Request` that override the benchmark's.
    """

    name: str
    model: str | Mapping[str, Any] | BaseRestorer
    weights: str | Path | None = None
    request: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Any, where: str) -> Method:
        """Read `dict(name=…, model=…, weights=None, request=dict(…))`, or a bare model name.

        Raises:
            ConfigError: a missing or unknown key, or a model that is neither of the three.
        """
        if isinstance(config, str):
            config = {"name": config, "model": config}
        if not isinstance(config, Mapping):
            raise ConfigError(f"{where} must be dict(name='…', model='…') or a model's name, got {config!r}")
        check_keys(config, METHOD_KEYS, where)
        model = config.get("model")
        if not isinstance(model, (str, Mapping, BaseRestorer)):
            raise ConfigError(
                f"{where} needs model=: a name of the model zoo, a restorer's config dict(type='…') or a restorer; "
                f"got {model!r}"
            )
        name = config.get("name") or (model if isinstance(model, str) else None)
        if not isinstance(name, str):
            raise ConfigError(f"{where} needs name=, the text that the table shows; got {config.get('name')!r}")
        request = dict(config.get("request") or {})
        check_keys(request, Request.names(), f"{where}.request")
        return cls(name, model, config.get("weights"), request)

    def load(self, device: torch.device) -> LoadedMethod:
        """Build the restorer with its weights on a device.

        Raises:
            ConfigError: it has parameters and nothing names weights for them.
            RegistryError, WeightsError: as `vrestore.checkpoints.zoo.load_restorer`.
        """
        from vrestore.checkpoints.zoo import load_restorer

        restorer = load_restorer(self.model, self.weights, device)
        has_weights = any(True for _ in restorer.parameters())
        if has_weights and isinstance(self.model, Mapping) and self.weights is None and not _names_weights(self.model):
            raise ConfigError(
                f"method '{self.name}' would run with random weights, whose scores mean nothing: give weights=FILE"
            )
        return LoadedMethod(self, restorer, device)


class LoadedMethod:
    """A restorer on its device, and what identifies it."""

    def __init__(self, method: Method, restorer: BaseRestorer, device: torch.device):
        self.method, self.restorer, self.device = method, restorer, device
        self.weights = fingerprint(restorer)
        if isinstance(method.weights, str) and method.weights.startswith(REFERENCE):
            self.weights = f"{REFERENCE}{self.weights}"
        self.parameters = sum(p.numel() for p in restorer.parameters())

    @property
    def identity(self) -> dict[str, Any]:
        """All of the method that its numbers depend on, as plain data; its name in the table is not part of it."""
        from vrestore.checkpoints.index import zoo

        model = self.method.model
        if isinstance(model, str) and model in zoo():
            model = zoo()[model].restorer_config() or model
        return {
            "model": f"{type(self.restorer).__module__}.{type(self.restorer).__qualname__}",
            "config": None if isinstance(model, BaseRestorer) else to_plain(model),
            "capabilities": to_plain(self.restorer.capabilities.as_dict()),
            "weights": self.weights,
        }

    def restore(self, lq_TCHW: Tensor, request: Request) -> Tensor:
        """Restore one clip with the global generators seeded from the request and put back afterwards.

        A restorer should draw from generators of its own; one that does not still gives the same numbers in any order
        of methods and in a run that was resumed.
        """
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(request.seed)
            return self.restorer.restore(lq_TCHW, request)


def _names_weights(model: Any) -> bool:
    """Whether a restorer's config names weights somewhere itself."""
    if isinstance(model, Mapping):
        named = any(model.get(key) for key in ("init_cfg", "pretrained", "weights", "checkpoint"))
        named = named or any(isinstance(stage, str) for stage in (model.get("model"), *(model.get("stages") or ())))
        return named or any(_names_weights(value) for value in model.values())
    return isinstance(model, (list, tuple)) and any(_names_weights(item) for item in model)


def fingerprint(module: nn.Module) -> str | None:
    """First 16 hex digits of the SHA-256 of all parameters and buffers and their names; None where there are none."""
    state = module.state_dict()
    if not state:
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        flat = tensor.detach().cpu().contiguous().view(-1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()[:16]
