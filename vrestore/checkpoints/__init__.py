"""Official weights -> our modules: detect, rename, load, verify."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vrestore.checkpoints.architectures import Architecture, register_architecture
    from vrestore.checkpoints.network import load_network

_HOMES = {
    "Architecture": "vrestore.checkpoints.architectures",
    "load_network": "vrestore.checkpoints.network",
    "register_architecture": "vrestore.checkpoints.architectures",
}

__all__ = ["Architecture", "load_network", "register_architecture"]


def __getattr__(name: str) -> Any:  # lazily: the index and the weight sources are read without PyTorch
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
