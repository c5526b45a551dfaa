"""Optical flow by dense inverse search, computed by OpenCV on the CPU."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # BT.601
MIN_SIZE_PX = 32  # OpenCV refuses images below 12 px; smaller ones are padded to this size


class DISFlow(nn.Module):
    """Optical flow by dense inverse search (Kroeger et al., ECCV 2016), with the arguments and results of `SPyNet`.

    OpenCV's medium preset, with the full resolution as its finest scale. It has no parameters and no gradient. Results
    depend on the two images alone.
    """

    @torch.no_grad()
    def forward(self, ref: Tensor, supp: Tensor) -> Tensor:
        """Flow that warps `supp` onto `ref`.

        Args:
            ref: reference images (N, 3, H, W), RGB in [0, 1].
            supp: supporting images of the same shape.

        Returns:
            Flow (N, 2, H, W) in pixels, channels (dx, dy), float32 on the device of `ref`.
        """
        import cv2

        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        method.setFinestScale(0)
        h, w = ref.shape[-2:]
        pairs = zip(_grey_levels(ref), _grey_levels(supp), strict=True)
        flows = [method.calc(first, second, None)[:h, :w] for first, second in pairs]  # type: ignore[call-overload]
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous().to(ref.device)


def _grey_levels(x_NCHW: Tensor) -> np.ndarray:
    """Luma (N, H', W') in uint8, replicated at the right and bottom up to the least size."""
    x = x_NCHW.detach().float()
    luma = (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    h, w = luma.shape[-2:]
    luma = F.pad(luma, (0, max(MIN_SIZE_PX - w, 0), 0, max(MIN_SIZE_PX - h, 0)), mode="replicate")
    return (luma[:, 0].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
