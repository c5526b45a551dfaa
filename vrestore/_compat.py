"""Workarounds for packages that do not yet work together; each does nothing where the trouble is absent."""

from __future__ import annotations

import importlib.util

_done = False


def ensure_torchvision_imports() -> None:
    """Let ``import torchvision`` succeed where its compiled part cannot load (a CUDA wheel beside a CPU torch).

    torchvision's Python part declares fake kernels for operators that only its compiled part defines, and raises when
    they are missing. Declaring the bare schemas is enough for its models and transforms; the operators themselves stay
    unusable, and calling one raises. Where the compiled part loads, nothing is declared.
    """
    global _done
    if _done or importlib.util.find_spec("torchvision") is None:
        _done = True
        return
    _done = True
    import torch

    try:
        spec = importlib.util.find_spec("torchvision")
        folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else ""
        from pathlib import Path

        for binary in sorted(Path(folder).glob("_C*.so")) + sorted(Path(folder).glob("_C*.pyd")):
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
