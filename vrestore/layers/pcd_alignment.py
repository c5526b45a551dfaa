"""PCD alignment: pyramid, cascading and deformable (Wang et al., EDVR, CVPRW 2019, arXiv 1905.02716)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.conv_act import ConvAct
from vrestore.layers.deform_conv_pack import ModulatedDeformConvPack
from vrestore.layers.residual import he_init


class PCDAlignment(nn.Module):
    """Align the features of a neighbour to those of a reference, coarse to fine, with the parameter names of MMagic.

    Three levels, each of half the sides of the one above. The offsets of a level are refined by the level above it,
    and a last deformable convolution refines the result.

    Args:
        mid_channels: feature channels.
        deform_groups: groups of the deformable convolutions.
    """

    def __init__(self, mid_channels: int = 64, deform_groups: int = 8):
        super().__init__()
        c = mid_channels
        self.offset_conv1 = nn.ModuleDict({level: ConvAct(2 * c, c) for level in ("l3", "l2", "l1")})
        self.offset_conv2 = nn.ModuleDict({"l3": ConvAct(c, c), "l2": ConvAct(2 * c, c), "l1": ConvAct(2 * c, c)})
        self.offset_conv3 = nn.ModuleDict({level: ConvAct(c, c) for level in ("l2", "l1")})
        self.dcn_pack = nn.ModuleDict(
            {level: ModulatedDeformConvPack(c, c, deform_groups) for level in ("l3", "l2", "l1")}
        )
        # The finest level ends without an activation: the cascade goes on from there.
        self.feat_conv = nn.ModuleDict({"l2": ConvAct(2 * c, c), "l1": ConvAct(2 * c, c, slope=None)})
        self.cas_offset_conv1 = ConvAct(2 * c, c)
        self.cas_offset_conv2 = ConvAct(c, c)
        self.cas_dcnpack = ModulatedDeformConvPack(c, c, deform_groups)
        for part in (self.offset_conv1, self.offset_conv2, self.offset_conv3, self.feat_conv):
            he_init(part, slope=0.1)
        he_init(self.cas_offset_conv1, slope=0.1)
        he_init(self.cas_offset_conv2, slope=0.1)

    def forward(self, neighbor_feats: Sequence[Tensor], ref_feats: Sequence[Tensor]) -> Tensor:
        """Align.

        Args:
            neighbor_feats: features of the neighbour, three levels (N, C, H, W), (N, C, H/2, W/2), (N, C, H/4, W/4).
            ref_feats: features of the reference, of the same shapes.

        Returns:
            The neighbour's features, aligned: (N, C, H, W).
        """
        offset, feature = self._level("l3", neighbor_feats[2], ref_feats[2])
        offset, feature = self._level("l2", neighbor_feats[1], ref_feats[1], offset, F.leaky_relu(feature, 0.1))
        _, feature = self._level("l1", neighbor_feats[0], ref_feats[0], offset, feature)
        offset = self.cas_offset_conv2(self.cas_offset_conv1(torch.cat((feature, ref_feats[0]), dim=1)))
        return F.leaky_relu(self.cas_dcnpack(feature, offset), 0.1)

    def _level(
        self,
        level: str,
        neighbor: Tensor,
        ref: Tensor,
        offset_below: Tensor | None = None,
        feature_below: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The offset feature of a level and the features aligned by it, each refined by the coarser level's."""
        offset = self.offset_conv1[level](torch.cat((neighbor, ref), dim=1))
        if offset_below is None or feature_below is None:
            offset = self.offset_conv2[level](offset)
            return offset, self.dcn_pack[level](neighbor, offset)
        # A move of one pixel below is one of two pixels here.
        offset = self.offset_conv2[level](torch.cat((offset, upsample2x(offset_below) * 2), dim=1))
        offset = self.offset_conv3[level](offset)
        aligned = self.dcn_pack[level](neighbor, offset)
        return offset, self.feat_conv[level](torch.cat((aligned, upsample2x(feature_below)), dim=1))


def upsample2x(x: Tensor) -> Tensor:
    """Bilinear upsampling by 2 (align_corners=False)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
