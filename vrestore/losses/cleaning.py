"""The loss of RealBasicVSR's cleaning module."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.registry import LOSSES


@LOSSES.register_module()
class CleaningLoss(nn.Module):
    """Cleaned frames should look like the clean frames made small (Chan et al., CVPR 2022, arXiv 2111.12704).

    An auxiliary loss over what a backbone returns beside its frames: the mean absolute difference of ``cleaned``
    (B, T, 3, h, w) and the clean clip, shrunk to that size by the mean over areas.

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, intermediates: dict[str, Tensor], lq: Tensor, hq: Tensor) -> Tensor:
        """
        Args:
            intermediates: what the backbone returned beside its frames.
            lq: degraded clips; not used.
            hq: clean clips (B, T, 3, H, W).
        """
        cleaned = intermediates["cleaned"].flatten(0, 1).float()
        small = F.interpolate(hq.flatten(0, 1).float(), size=cleaned.shape[-2:], mode="area")
        return self.loss_weight * (cleaned - small).abs().mean()
