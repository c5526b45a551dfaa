"""What tells one network's weights from another's."""

from __future__ import annotations

import hashlib

import torch.nn as nn
from torch import uint8 as byte


def fingerprint(network: nn.Module) -> str:
    """SHA-256 over names, precisions and values of all weights."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(byte).numpy())
    return digest.hexdigest()
