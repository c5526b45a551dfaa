"""Packages whose modules are imported when one of their names is first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package that imports its modules on first access.

    The package stores `homes` as ``HOMES``, from which `vrestore.registry.Registry` finds the module of an entry, and
    repeats its imports under ``if TYPE_CHECKING`` for type checkers.

    Args:
        package: ``__name__`` of the package.
        homes: module of every exported name, relative to the package.
    """
    modules = set(homes.values())

    def __getattr__(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        elif name in modules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
