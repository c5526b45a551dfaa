"""vrestore: a modular, plugin-based video restoration framework.

Frames are float tensors (T, C, H, W), RGB, in [0, 1]; a batch is (B, T, C, H, W); latents are (B, C, T, H, W).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrestore._compat import ensure_torchvision_imports
from vrestore._lazy import lazy_exports
from vrestore.version import __version__

ensure_torchvision_imports()

if TYPE_CHECKING:
    from vrestore.checkpoints.network import load_network
    from vrestore.checkpoints.zoo import load_restorer
    from vrestore.inference.clip import restore_clip
    from vrestore.inference.video import restore_video
    from vrestore.restorers.request import Request

HOMES = {
    "load_network": "checkpoints.network",
    "load_restorer": "checkpoints.zoo",
    "restore_clip": "inference.clip",
    "restore_video": "inference.video",
    "Request": "restorers.request",
}

__all__ = ["Request", "__version__", "load_network", "load_restorer", "restore_clip", "restore_video"]

__getattr__ = lazy_exports(__name__, HOMES)  # so that `import vrestore` and `vrestore --help` stay quick
