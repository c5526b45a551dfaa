"""Second-order deformable alignment (BasicVSR++, Chan et al., CVPR 2022, arXiv 2104.13371, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.layers.deform_conv import modulated_deform_conv2d
from vrestore.layers.memory_format import for_convolutions
from vrestore.layers.residual import he_init
from vrestore.layers.zeroed import zeroed


class SecondOrderDeformableAlignment(nn.Module):
    """Align the features of the last two frames to the current one by a deformable convolution.

    Its offsets are the two flows and a residue of at most `max_residue_magnitude` pixels that is predicted from the
    features; the first half of the deformable groups follows the first flow, the second half the second. Names:
    ``weight``, ``bias``, ``conv_offset.{0,2,4,6}``. It starts with no residue.

    Args:
        in_channels: channels of both features together.
        out_channels: channels of the result, and of each feature that the residue is predicted from.
        kernel_size, stride, padding, dilation, groups: of the deformable convolution.
        bias: whether it has one.
        deform_groups: groups of channels with offsets of their own, even.
        max_residue_magnitude: largest residue in pixels.

    Raises:
        ConfigError: channels that the groups do not divide, or an odd number of deformable groups.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        deform_groups: int = 16,
        max_residue_magnitude: float = 10,
    ):
        super().__init__()
        if deform_groups % 2 or in_channels % deform_groups or in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"{in_channels} channels cannot be aligned with groups={groups} and deform_groups={deform_groups}: "
                f"both must divide the channels, and deform_groups must be even"
            )
        self.geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        self.deform_groups = deform_groups
        self.max_residue_magnitude = max_residue_magnitude
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        c = out_channels
        self.conv_offset = nn.Sequential(
            nn.Conv2d(3 * c + 4, c, 3, 1, 1),
            nn.LeakyReLU(negative_slope=0.1, inplace=True),
            nn.Conv2d(c, c, 3, 1, 1),
            nn.LeakyReLU(negative_slope=0.1, inplace=True),
            nn.Conv2d(c, c, 3, 1, 1),
            nn.LeakyReLU(negative_slope=0.1, inplace=True),
            nn.Conv2d(c, 3 * kernel_size**2 * deform_groups, 3, 1, 1),
        )
        he_init(self.conv_offset, slope=0.1)
        zeroed(self.conv_offset[-1])

    def forward(self, x: Tensor, extra_feat: Tensor, flow_1: Tensor, flow_2: Tensor) -> Tensor:
        """Align.

        Args:
            x: features of the last frame and of the one before it (N, in_channels, h, w).
            extra_feat: the last frame's features warped, the current frame's, and those of the frame before the last
                warped (N, 3 * out_channels, h, w).
            flow_1: flow that warps the last frame onto the current one (N, 2, h, w), channels (dx, dy).
            flow_2: the same of the frame before it.

        Returns:
            (N, out_channels, h, w).
        """
        flows = torch.cat([flow_1, flow_2], dim=1).to(extra_feat.dtype)
        predicted = self.conv_offset(for_convolutions(torch.cat([extra_feat, flows], dim=1)))
        # float32 under autocast: positions are not rounded to half precision
        predicted = predicted.to(flow_1.dtype).contiguous()
        residue_1, residue_2, mask = predicted.chunk(3, dim=1)
        offset = torch.cat([_moved(residue_1, flow_1, self), _moved(residue_2, flow_2, self)], dim=1)
        return modulated_deform_conv2d(
            x,
            offset,
            mask.sigmoid(),
            self.weight,
            self.bias,
            **self.geometry,
            deform_groups=self.deform_groups,
        )


def _moved(residue: Tensor, flow: Tensor, alignment: SecondOrderDeformableAlignment) -> Tensor:
    """Offsets (dy, dx) of half the deformable groups: the flow, and the residue that was predicted."""
    residue = alignment.max_residue_magnitude * residue.tanh()
    return residue + flow.flip(1).repeat(1, residue.shape[1] // 2, 1, 1)
