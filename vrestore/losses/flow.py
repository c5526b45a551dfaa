"""A photometric loss that teaches a flow network without ground truth."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.layers.flow_warp import flow_warp
from vrestore.registry import LOSSES


@LOSSES.register_module()
class PhotometricFlowLoss(nn.Module):
    """Warped neighbours should look like the frame they are warped onto (Yu et al., "Back to Basics", 2016).

    An auxiliary loss over what a recurrent backbone returns beside its frames: ``flows_backward`` and
    ``flows_forward`` (B, T-1, 2, h, w). Pixels whose flow leaves the frame do not count; a first-order smoothness term
    that fades at image edges keeps flat regions steady.

    Args:
        loss_weight: factor of the result.
        smoothness: weight of the smoothness term, per pixel of flow difference.
        edge: how fast the smoothness fades with the image gradient.
    """

    def __init__(self, loss_weight: float = 1.0, smoothness: float = 0.02, edge: float = 20.0):
        super().__init__()
        self.loss_weight = loss_weight
        self.smoothness = smoothness
        self.edge = edge

    def forward(self, intermediates: dict[str, Tensor], lq: Tensor, hq: Tensor) -> Tensor:
        """
        Args:
            intermediates: what the backbone returned beside its frames.
            lq: degraded clips (B, T, 3, h, w).
            hq: clean clips; not used.
        """
        earlier, later = lq[:, :-1].flatten(0, 1), lq[:, 1:].flatten(0, 1)
        backward = intermediates["flows_backward"].flatten(0, 1)
        forward = intermediates["flows_forward"].flatten(0, 1)
        return self.loss_weight * 0.5 * (self._pair(earlier, later, backward) + self._pair(later, earlier, forward))

    def _pair(self, target: Tensor, source: Tensor, flow: Tensor) -> Tensor:
        flow = flow.float()
        warped = flow_warp(source.float(), flow.permute(0, 2, 3, 1), padding_mode="border")
        inside = _inside(flow)
        error = torch.sqrt((warped - target.float()).square() + 1e-6).mean(1, keepdim=True)
        photometric = (error * inside).sum() / inside.sum().clamp(min=1)
        return photometric + self.smoothness * self._roughness(flow, target)

    def _roughness(self, flow: Tensor, image: Tensor) -> Tensor:
        total = flow.new_zeros(())
        for axis in (-1, -2):
            weight = torch.exp(-self.edge * image.float().diff(dim=axis).abs().mean(1, keepdim=True))
            total = total + (flow.diff(dim=axis).abs() * weight).mean()
        return total


def _inside(flow: Tensor) -> Tensor:
    """1 where the flow (N, 2, H, W) points into the frame, else 0."""
    h, w = flow.shape[-2:]
    x = torch.arange(w, device=flow.device).view(1, 1, 1, w) + flow[:, :1]
    y = torch.arange(h, device=flow.device).view(1, 1, h, 1) + flow[:, 1:]
    return ((x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)).to(flow.dtype).detach()
