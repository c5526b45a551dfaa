"""vrestore: a modular, plugin-based video restoration framework.

Frames are float tensors (T, C, H, W), RGB, in [0, 1]; a batch is (B, T, C, H, W); latents are (B, C, T, H, W).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vrestore._compat import ensure_torchvision_imports
from vrestore.version import __version__

ensure_torchvision_imports()

if TYPE_CHECKING:
    from vrestore.checkpoints.network import load_network
    from vrestore.checkpoints.zoo import load_restorer
    from vrestore.inference.clip import restore_clip
    from vrestore.inference.video import restore_video
    from vrestore.restorers.request import Request

_HOMES = {
    "load_network": "vrestore.checkpoints.network",
    "load_restorer": "vrestore.checkpoints.zoo",
    "restore_clip": "vrestore.inference.clip",
    "restore_video": "vrestore.inference.video",
    "Request": "vrestore.restorers.request",
}

__all__ = ["Request", "__version__", "load_network", "load_restorer", "restore_clip", "restore_video"]


def __getattr__(name: str) -> Any:  # lazily, so that `import vrestore` and `vrestore --help` stay quick
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vrestore' has no attribute '{name}'")
