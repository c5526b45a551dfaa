"""Official weights -> our modules: detect, rename, load, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrestore._lazy import lazy_exports

if TYPE_CHECKING:
    from vrestore.checkpoints.architectures import Architecture, register_architecture
    from vrestore.checkpoints.network import load_network

HOMES = {"Architecture": "architectures", "load_network": "network", "register_architecture": "architectures"}

__all__ = ["Architecture", "load_network", "register_architecture"]

__getattr__ = lazy_exports(__name__, HOMES)
