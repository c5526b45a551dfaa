"""Workarounds for packages that do not yet work together; each does nothing where the trouble is absent."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any


def ensure_torchvision_imports() -> None:
    """Let ``import torchvision`` succeed where its compiled part cannot load (a CUDA wheel beside a CPU torch).

    torchvision's Python part declares fake kernels for operators that only its compiled part defines, and raises when
    they are missing. Declaring the bare schemas is enough for its models and transforms; the operators themselves stay
    unusable, and calling one raises. Where the compiled part loads, nothing is declared.

    The work is done when torchvision is imported, not now: it needs torch, which takes seconds to import, and
    ``vrestore --help`` needs neither.
    """
    if "torchvision" not in sys.modules and not any(isinstance(f, _BeforeTorchvision) for f in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


def alias_functional_tensor() -> None:
    """Let old packages import ``torchvision.transforms.functional_tensor``, which newer torchvisions dropped.

    All that such packages take from it is `rgb_to_grayscale`.
    """
    name = "torchvision.transforms.functional_tensor"
    try:
        from importlib.util import find_spec

        if name in sys.modules or find_spec(name) is not None:
            return
        from torchvision.transforms.functional import rgb_to_grayscale
    except ImportError:  # without torchvision there is nothing to mend
        return
    module: Any = ModuleType(name)
    module.rgb_to_grayscale = rgb_to_grayscale
    sys.modules[name] = module


class _BeforeTorchvision:
    """A finder that runs the workaround just before the body of torchvision runs."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        loader: Any = spec.loader if spec else None
        if loader is None:
            return spec
        run_body = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            _declare_missing_operators(Path(module.__file__ or "").parent)
            run_body(module)

        loader.exec_module = exec_module
        return spec


def _declare_missing_operators(folder: Path) -> None:
    import torch

    try:
        for binary in sorted(folder.glob("_C*.so")) + sorted(folder.glob("_C*.pyd")):
            torch.ops.load_library(str(binary))
        torch.ops.torchvision.nms  # noqa: B018  (attribute access raises when the operator is unknown)
        return
    except (OSError, RuntimeError, AttributeError):
        pass
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        try:
            library.define(schema)
        except RuntimeError:  # already declared
            continue
    _keep.append(library)  # a library that is collected takes its schemas along


_keep: list = []
