"""BasicVSR put together from stock layers alone, without any care for speed: what ours is timed against.

The weights have the same names, so that ours can be copied into it and the results compared.
"""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class PlainBasicVSR(nn.Module):
    def __init__(self, mid_channels: int = 64, num_blocks: int = 30):
        super().__init__()
        self.mid_channels = mid_channels
        self.spynet = PlainSPyNet()
        self.backward_resblocks = trunk(mid_channels + 3, mid_channels, num_blocks)
        self.forward_resblocks = trunk(mid_channels + 3, mid_channels, num_blocks)
        self.fusion = nn.Conv2d(2 * mid_channels, mid_channels, 1)
        self.upsample1 = PlainUpsample(mid_channels, mid_channels)
        self.upsample2 = PlainUpsample(mid_channels, 64)
        self.conv_hr = nn.Conv2d(64, 64, 3, padding=1)
        self.conv_last = nn.Conv2d(64, 3, 3, padding=1)
        self.base = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=False)
        self.act = nn.LeakyReLU(0.1, inplace=True)

    def forward(self, lq: Tensor) -> Tensor:
        n, t, c, h, w = lq.shape
        first, second = lq[:, :-1].reshape(-1, c, h, w), lq[:, 1:].reshape(-1, c, h, w)
        to_first = self.spynet(first, second).view(n, t - 1, 2, h, w)
        to_second = self.spynet(second, first).view(n, t - 1, 2, h, w)
        backward: list[Tensor] = []
        feature = lq.new_zeros(n, self.mid_channels, h, w)
        for i in range(t - 1, -1, -1):
            if i < t - 1:
                feature = warp(feature, to_first[:, i], "zeros")
            feature = self.backward_resblocks(torch.cat([lq[:, i], feature], 1))
            backward.insert(0, feature)
        outputs = []
        feature = torch.zeros_like(feature)
        for i in range(t):
            if i > 0:
                feature = warp(feature, to_second[:, i - 1], "zeros")
            feature = self.forward_resblocks(torch.cat([lq[:, i], feature], 1))
            x = self.act(self.fusion(torch.cat([backward[i], feature], 1)))
            x = self.act(self.upsample2(self.act(self.upsample1(x))))
            outputs.append(self.conv_last(self.act(self.conv_hr(x))) + self.base(lq[:, i]))
        return torch.stack(outputs, 1)


class PlainSPyNet(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self):
        super().__init__()
        self.basic_module = nn.ModuleList(PlainLevel() for _ in range(6))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, ref: Tensor, supp: Tensor) -> Tensor:
        h, w = ref.shape[-2:]
        size = (-(-h // 32) * 32, -(-w // 32) * 32)
        refs, supps = (
            [(F.interpolate(x, size=size, mode="bilinear", align_corners=False) - self.mean) / self.std]
            for x in (ref, supp)
        )
        for pyramid in (refs, supps):
            for _ in range(5):
                pyramid.append(F.avg_pool2d(pyramid[-1], 2, count_include_pad=False))
        flow = ref.new_zeros(len(ref), 2, size[0] // 32, size[1] // 32)
        for level, network in enumerate(self.basic_module):
            if level:
                flow = 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            reference, support = refs[5 - level], supps[5 - level]
            flow = flow + network(torch.cat([reference, warp(support, flow, "border"), flow], 1))
        flow = F.interpolate(flow, size=(h, w), mode="bilinear", align_corners=False)
        return flow * flow.new_tensor([w / size[1], h / size[0]]).view(1, 2, 1, 1)


class PlainLevel(nn.Module):
    def __init__(self):
        super().__init__()
        widths = (8, 32, 64, 32, 16, 2)
        layers = []
        for i in range(5):
            layer = nn.Sequential()
            layer.add_module("conv", nn.Conv2d(widths[i], widths[i + 1], 7, padding=3))
            if i < 4:
                layer.add_module("activate", nn.ReLU(inplace=True))
            layers.append(layer)
        self.basic_module = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.basic_module(x)


class PlainBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.relu(self.conv1(x)))


class PlainUpsample(nn.Module):
    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.upsample_conv = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(self.upsample_conv(x))


def trunk(in_channels: int, channels: int, blocks: int) -> nn.Module:
    holder = nn.Sequential()
    first = nn.Conv2d(in_channels, channels, 3, padding=1)
    body = nn.Sequential(*(PlainBlock(channels) for _ in range(blocks)))
    holder.add_module("main", nn.Sequential(first, nn.LeakyReLU(0.1, inplace=True), body))
    return holder


def warp(x: Tensor, flow: Tensor, padding: str) -> Tensor:
    h, w = x.shape[-2:]
    y, x_ = torch.meshgrid(torch.arange(h, dtype=x.dtype), torch.arange(w, dtype=x.dtype), indexing="ij")
    grid = torch.stack((x_, y), -1) + flow.permute(0, 2, 3, 1)
    grid = 2 * grid / grid.new_tensor([max(w - 1, 1), max(h - 1, 1)]) - 1
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=True)
