"""Features of a clip's frames, kept on the CPU where the clip is long and its device's memory is dear."""

from __future__ import annotations

import torch
from torch import Tensor


class FrameFeatures:
    """A list of tensors, one a frame, that may lie on the CPU and are brought to their device when they are asked for.

    Moving changes no number.

    Args:
        device: where the tensors are used.
        on_cpu: whether they are kept on the CPU.
    """

    def __init__(self, device: torch.device, on_cpu: bool = False):
        self.device = device
        self.on_cpu = on_cpu
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Tensor:
        return self._kept[index].to(self.device)

    def append(self, features: Tensor) -> None:
        self._kept.append(features.cpu() if self.on_cpu else features)

    def reverse(self) -> None:
        """Turn the order around, as after a pass that ran backwards in time."""
        self._kept.reverse()

    def stack(self) -> Tensor:
        """All of them, (B, T, …), where they are kept."""
        return torch.stack(self._kept, dim=1)


def belongs_on_cpu(clips: Tensor, cache_length: int) -> bool:
    """Whether the features of clips (B, T, C, h, w) are kept on the CPU: longer than `cache_length`, on another device.

    Not where gradients are wanted: they need the features on their device anyway.
    """
    return clips.shape[1] > cache_length and clips.device.type != "cpu" and not torch.is_grad_enabled()
