"""TSA fusion: temporal and spatial attention (Wang et al., EDVR, CVPRW 2019, arXiv 1905.02716)."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.conv_act import ConvAct
from vrestore.layers.pcd_alignment import upsample2x
from vrestore.layers.residual import he_init


class TSAFusion(nn.Module):
    """Fuse aligned features of several frames into one, with the parameter names of MMagic.

    Temporal attention weighs each frame, pixel by pixel, by how alike it is to the centre frame; spatial attention
    over a small pyramid then modulates the fused feature.

    Args:
        mid_channels: feature channels.
        num_frames: frames to fuse.
        center_frame_idx: the frame that the others are held against.
    """

    def __init__(self, mid_channels: int = 64, num_frames: int = 5, center_frame_idx: int = 2):
        super().__init__()
        c = mid_channels
        self.center_frame_idx = center_frame_idx
        self.temporal_attn1 = nn.Conv2d(c, c, 3, 1, 1)
        self.temporal_attn2 = nn.Conv2d(c, c, 3, 1, 1)
        self.feat_fusion = ConvAct(num_frames * c, c, 1)
        self.spatial_attn1 = ConvAct(num_frames * c, c, 1)
        self.spatial_attn2 = ConvAct(2 * c, c, 1)
        self.spatial_attn3 = ConvAct(c, c)
        self.spatial_attn4 = ConvAct(c, c, 1)
        self.spatial_attn5 = nn.Conv2d(c, c, 3, 1, 1)
        self.spatial_attn_l1 = ConvAct(c, c, 1)
        self.spatial_attn_l2 = ConvAct(2 * c, c)
        self.spatial_attn_l3 = ConvAct(c, c)
        self.spatial_attn_add1 = ConvAct(c, c, 1)
        self.spatial_attn_add2 = nn.Conv2d(c, c, 1)
        he_init(self, slope=0.1)
        # Embeddings are multiplied and summed over channels: small ones keep the sigmoid out of its flat ends.
        he_init(self.temporal_attn1, scale=0.1)
        he_init(self.temporal_attn2, scale=0.1)
        he_init(self.spatial_attn_add2, scale=0.1)

    def forward(self, aligned_feat: Tensor) -> Tensor:
        """Aligned features (B, T, C, H, W), sides multiples of 4 -> fused (B, C, H, W)."""
        b, t, c, h, w = aligned_feat.shape
        reference = self.temporal_attn1(aligned_feat[:, self.center_frame_idx])
        embedding = self.temporal_attn2(aligned_feat.reshape(-1, c, h, w)).view(b, t, c, h, w)
        likeness = (embedding * reference.unsqueeze(1)).sum(dim=2, keepdim=True).sigmoid()
        weighted = (aligned_feat * likeness).flatten(1, 2)

        fused = self.feat_fusion(weighted)
        attention = self.spatial_attn2(_pools(self.spatial_attn1(weighted)))
        coarse = self.spatial_attn_l3(self.spatial_attn_l2(_pools(self.spatial_attn_l1(attention))))
        attention = self.spatial_attn3(attention) + upsample2x(coarse)
        attention = self.spatial_attn5(upsample2x(self.spatial_attn4(attention)))
        added = self.spatial_attn_add2(self.spatial_attn_add1(attention))
        return fused * attention.sigmoid() * 2 + added


def _pools(x: Tensor) -> Tensor:
    """Largest and mean value around every second pixel, side by side as channels. The mean counts the zeros outside."""
    return torch.cat((F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)), dim=1)
