"""SPyNet: optical flow by a spatial pyramid (Ranjan and Black, CVPR 2017), with the parameter names of MMagic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.residual import he_init
from vrestore.registry import BACKBONES

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@BACKBONES.register_module()
class SPyNet(nn.Module):
    """Flow from a reference image to a supporting one, coarse to fine.

    The defaults are the official network; fewer levels, narrower layers and smaller kernels make a light one of the
    same form.

    Args:
        num_levels: pyramid levels; frames are resized so that their sides are multiples of ``2 ** (num_levels - 1)``.
        channels: widths of the four hidden layers of each level's network.
        kernel_size: kernel side of every convolution, odd.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, num_levels: int = 6, channels: Sequence[int] = (32, 64, 32, 16), kernel_size: int = 7):
        super().__init__()
        self.num_levels = num_levels
        self.basic_module = nn.ModuleList(_LevelNetwork(tuple(channels), kernel_size) for _ in range(num_levels))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, ref: Tensor, supp: Tensor) -> Tensor:
        """Flow that warps `supp` onto `ref`.

        Args:
            ref: reference images (N, 3, H, W), RGB in [0, 1].
            supp: supporting images of the same shape.

        Returns:
            Flow (N, 2, H, W) in pixels, channels (dx, dy), float32 at least.
        """
        h, w = ref.shape[-2:]
        step = 2 ** (self.num_levels - 1)
        h_up, w_up = math.ceil(h / step) * step, math.ceil(w / step) * step
        if (h_up, w_up) != (h, w):
            ref, supp = (_resize(x, (h_up, w_up), align_corners=False) for x in (ref, supp))
        flow = self.compute_flow(ref, supp)
        if (h_up, w_up) != (h, w):
            flow = _resize(flow, (h, w), align_corners=False)
            flow = flow * flow.new_tensor([w / w_up, h / h_up]).view(1, 2, 1, 1)
        return flow

    def compute_flow(self, ref: Tensor, supp: Tensor) -> Tensor:
        """Flow (N, 2, H, W) of images whose sides are multiples of ``2 ** (num_levels - 1)``."""
        refs, supps = [(ref - self.mean) / self.std], [(supp - self.mean) / self.std]
        for pyramid in (refs, supps):
            for _ in range(self.num_levels - 1):
                pyramid.insert(0, F.avg_pool2d(pyramid[0], 2, 2, count_include_pad=False))
        n, _, h, w = refs[0].shape
        flow = torch.zeros(n, 2, h, w, device=ref.device, dtype=torch.promote_types(ref.dtype, torch.float32))
        for level, network in enumerate(self.basic_module):
            if level:
                flow = 2.0 * _resize(flow, refs[level].shape[-2:], align_corners=True)
            warped = flow_warp(supps[level], flow.permute(0, 2, 3, 1), padding_mode="border")
            residual = network(torch.cat([refs[level], warped, flow.to(warped.dtype)], dim=1))
            flow = flow + residual.to(flow.dtype)
        return flow


class _LevelNetwork(nn.Module):
    """Five convolutions with ReLU between: [reference, warped support, flow] (8 channels) -> flow residual (2)."""

    def __init__(self, channels: tuple[int, ...], kernel_size: int):
        super().__init__()
        widths = (8, *channels, 2)
        last = len(widths) - 2
        self.basic_module = nn.Sequential(
            *(_ConvReLU(widths[i], widths[i + 1], kernel_size, relu=i < last) for i in range(last + 1))
        )
        he_init(self)
        he_init(self.basic_module[-1], scale=0.1)  # flows start small: the first warps must not scramble the features

    def forward(self, x: Tensor) -> Tensor:
        return self.basic_module(x)


class _ConvReLU(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, relu: bool):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, 1, kernel_size // 2)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(x, inplace=True) if self.relu else x


def _resize(x: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)
