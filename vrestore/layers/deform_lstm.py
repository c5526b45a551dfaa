"""A bidirectional convolutional LSTM whose states are aligned to each frame by deformable convolutions."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.layers.pyramid import PyramidFusion


class BidirectionalDeformLSTM(nn.Module):
    """One network runs forwards and backwards; both outputs are fused by a 1x1 convolution (Zooming Slow-Mo).

    Args:
        channels: feature channels, of the states too.
        deform_groups: groups of channels that share an offset.
    """

    def __init__(self, channels: int, deform_groups: int):
        super().__init__()
        self.forward_net = DeformLSTM(channels, deform_groups)
        self.conv_1x1 = nn.Conv2d(2 * channels, channels, 1, 1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """As many maps (B, C, H, W) as are given, each of all of them."""
        forwards = self.forward_net(features)
        backwards = self.forward_net(features[::-1])[::-1]
        return [self.conv_1x1(torch.cat(pair, 1)) for pair in zip(forwards, backwards, strict=True)]


class DeformLSTM(nn.Module):
    """Hidden and cell state are aligned to the frame, then go through a convolutional LSTM cell.

    Args:
        channels: feature channels, of the states too.
        deform_groups: groups of channels that share an offset.
    """

    def __init__(self, channels: int, deform_groups: int):
        super().__init__()
        self.pcd_h = PyramidFusion(channels, deform_groups)
        self.pcd_c = PyramidFusion(channels, deform_groups)
        self.cell_list = nn.ModuleList([ConvLSTMCell(channels)])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """The hidden state (B, C, H, W) at each of the given maps, in their order."""
        hidden, cell = torch.zeros_like(features[0]), torch.zeros_like(features[0])
        outputs = []
        for x in features:
            hidden, cell = self.cell_list[0](x, self.pcd_h(x, hidden), self.pcd_c(x, cell))
            outputs.append(hidden)
        return outputs


class ConvLSTMCell(nn.Module):
    """A convolutional LSTM cell (Shi et al., NeurIPS 2015) with the gates input, forget, output and candidate.

    Args:
        channels: of the input and of the states.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 4 * channels, 3, 1, 1)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The next hidden and cell state, each (B, C, H, W)."""
        gates = self.conv(torch.cat([x, hidden], 1))
        take, keep, show, candidate = gates.chunk(4, 1)
        cell = torch.sigmoid(keep) * cell + torch.sigmoid(take) * torch.tanh(candidate)
        return torch.sigmoid(show) * torch.tanh(cell), cell
