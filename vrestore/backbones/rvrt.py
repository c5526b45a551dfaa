"""RVRT: recurrent video restoration transformer (Liang et al., NeurIPS 2022, arXiv 2206.02146), for super-resolution.

Written from the paper, the release's parameter names and measurements of its outputs. What these leave open is listed
in the class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.backbones.clip_flow import compute_flow
from vrestore.backbones.spynet import SPyNet  # noqa: F401  (registers the default flow network)
from vrestore.errors import ConfigError, RequestError
from vrestore.layers.deform_attention import GuidedDeformableAttention, slot_order
from vrestore.layers.flow_warp import flow_warp
from vrestore.layers.frame_features import FrameFeatures, belongs_on_cpu
from vrestore.layers.frame_layers import FrameConv, ToChannelsFirst, ToChannelsLast
from vrestore.layers.window_attention_3d import ResidualSwinGroup
from vrestore.layers.zeroed import zeroed
from vrestore.registry import BACKBONES

BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")  # in the order in which they run


@BACKBONES.register_module()
class RVRT(nn.Module):
    """Clips of a few frames, restored together and passed along the video, backward and forward in turn.

    A pass brings its features of the clip before to a clip by guided deformable attention, around the flow between
    each pair of their frames; the second pass of a direction starts from the flows as the first has moved them. The
    first clip of a pass, and so a video of one clip, has none before it and starts from zeros.

    Of the release only the models for super-resolution are covered: those that keep the resolution (deblurring,
    denoising) have layers before the features whose names and form are not known here.

    Args:
        upscale: times that the sides grow, a power of two.
        clip_size: frames of a clip; the window's frames divide it, unless there are more of them.
        img_size: of the training clips in the release's configs; changes nothing here.
        window_size: (frames, rows, columns) of the attention windows of the passes; those of the feature extraction
            and of the reconstruction see one frame.
        num_blocks: groups of Swin blocks in the feature extraction, in each pass, and in the reconstruction.
        depths: Swin blocks of a group, for the same three.
        embed_dims: feature channels, for the same three; the first two are equal.
        num_heads: attention heads, for the same three.
        mlp_ratio: hidden channels of the blocks' perceptrons, as a multiple of the features'.
        inputconv_groups: groups of the first convolution of the feature extraction, of the four passes, and of the
            reconstruction.
        deformable_groups: channel groups of keys and values that have offsets of their own.
        attention_heads: heads of the guided deformable attention.
        attention_window: odd (rows, columns) that it sees around each offset.
        offset_channels: hidden channels of the network that predicts offsets (official: 64).
        upsample_channels: feature channels of the upsampling (official: 64).
        spynet: config of the flow network (BACKBONES); None is the official SPyNet.
        cpu_cache_length: clips of more frames than this keep their features on the CPU while a device restores them
            (without gradients), and their result is on the CPU too. The numbers are the same.

    Attributes:
        scale: times that the sides grow.
        size_multiple: what height and width must be multiples of.
        frames_multiple: what the number of frames must be a multiple of.

    Raises:
        ConfigError: arguments that do not fit each other.
    """

    def __init__(
        self,
        upscale: int = 4,
        clip_size: int = 2,
        img_size: Sequence[int] = (2, 64, 64),
        window_size: Sequence[int] = (2, 8, 8),
        num_blocks: Sequence[int] = (1, 2, 1),
        depths: Sequence[int] = (2, 2, 2),
        embed_dims: Sequence[int] = (144, 144, 144),
        num_heads: Sequence[int] = (6, 6, 6),
        mlp_ratio: float = 2.0,
        inputconv_groups: Sequence[int] = (1, 1, 1, 1, 1, 1),
        deformable_groups: int = 12,
        attention_heads: int = 12,
        attention_window: Sequence[int] = (3, 3),
        offset_channels: int = 64,
        upsample_channels: int = 64,
        spynet: dict | None = None,
        cpu_cache_length: int = 100,
    ):
        super().__init__()
        _check_arguments(upscale, clip_size, window_size, embed_dims)
        self.scale = upscale
        self.clip_size = self.frames_multiple = clip_size
        self.window_size = tuple(window_size)
        self.size_multiple = math.lcm(window_size[1], window_size[2])
        self.cpu_cache_length = cpu_cache_length
        self.spynet = BACKBONES.build(spynet or {"type": "SPyNet"})

        def trunk(stage: int, in_channels: int, groups: int, frames: int) -> SwinTrunk:
            return SwinTrunk(
                in_channels,
                embed_dims[stage],
                num_groups=num_blocks[stage],
                depth=depths[stage],
                num_heads=num_heads[stage],
                window_size=(frames, *self.window_size[1:]),
                mlp_ratio=mlp_ratio,
                conv_groups=groups,
            )

        c = embed_dims[0]
        self.feat_extract = trunk(0, 3, inputconv_groups[0], frames=1)
        self.backbone = nn.ModuleDict()
        self.deform_align = nn.ModuleDict()
        for i, branch in enumerate(BRANCHES):
            self.backbone[branch] = trunk(1, (2 + i) * c, inputconv_groups[1 + i], frames=self.window_size[0])
            self.deform_align[branch] = GuidedDeformableAttention(
                c, clip_size, deformable_groups, attention_heads, attention_window, offset_channels
            )
        self.reconstruction = trunk(2, (1 + len(BRANCHES)) * c, inputconv_groups[5], frames=1)
        u = upsample_channels
        self.conv_before_upsampler = nn.Sequential(FrameConv(embed_dims[2], u, 1), nn.LeakyReLU(0.1, inplace=True))
        self.upsampler = _upsampler(u, upscale)
        self.conv_last = zeroed(FrameConv(u, 3))  # it starts at the bilinear base exactly

    def forward(self, lq: Tensor, return_intermediates: bool = False) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Restore clips.

        Args:
            lq: clips (B, T, 3, h, w), RGB in [0, 1]; T is a multiple of `frames_multiple`, h and w of `size_multiple`.
            return_intermediates: also return ``flows_backward`` and ``flows_forward`` (B, T-1, 2, h, w): the flows
                that warp frame i+1 onto i, and frame i onto i+1.

        Returns:
            Clips (B, T, 3, scale * h, scale * w), not clamped.

        Raises:
            RequestError: another number of frames, or other sides.
        """
        self._check(lq)
        flows_backward, flows_forward = compute_flow(self.spynet, lq)
        flows = {  # both in the order of their pass
            "backward": flows_between_clips(flows_backward.flip(1), self.clip_size),
            "forward": flows_between_clips(flows_forward, self.clip_size),
        }
        on_cpu = belongs_on_cpu(lq, self.cpu_cache_length)
        features = {"spatial": FrameFeatures(lq.device, on_cpu)}  # of clips (B, N, C, h, w)
        for clip in lq.split(self.clip_size, dim=1):
            features["spatial"].append(self.feat_extract(clip))
        for branch in BRANCHES:
            features[branch] = self._propagate(branch, features, flows[branch.split("_")[0]])
        restored = FrameFeatures(lq.device, on_cpu)
        for i, clip in enumerate(lq.split(self.clip_size, dim=1)):
            for frame in self._reconstruct([of[i] for of in features.values()], clip).unbind(1):
                restored.append(frame)
        hq = restored.stack()
        if return_intermediates:
            return hq, {"flows_backward": flows_backward, "flows_forward": flows_forward}
        return hq

    def _propagate(self, branch: str, features: dict[str, FrameFeatures], flows: list[Tensor]) -> FrameFeatures:
        """One pass over the video: a clip's features from its own, those of earlier passes, and the clip before.

        Args:
            branch: the pass. A backward one sees the video reversed, the frames within its clips too.
            features: of each clip, from the passes so far.
            flows: from each clip but the last of the pass to the next one, (B, N, N, 2, h, w); they are replaced by
                those that the attention has moved.
        """
        backward = branch.startswith("backward")
        kept = FrameFeatures(features["spatial"].device, features["spatial"].on_cpu)
        latest = next(reversed(features))
        order = range(len(features["spatial"]))
        last: Tensor | None = None  # this pass's features of the clip before, and the latest other pass's
        last_keys: Tensor | None = None
        for step, i in enumerate(reversed(order) if backward else order):
            seen = {name: of[i].flip(1) if backward else of[i] for name, of in features.items()}
            if last is None or last_keys is None:
                aligned = torch.zeros_like(seen["spatial"])
            else:
                align = self.deform_align[branch]
                aligned, flows[step - 1] = align(seen[latest], last_keys, last, flows[step - 1])
            last = aligned + self.backbone[branch](torch.cat([*seen.values(), aligned], dim=2))
            last_keys = seen[latest]
            kept.append(last.flip(1) if backward else last)
        if backward:
            kept.reverse()
        return kept

    def _reconstruct(self, features: list[Tensor], clip: Tensor) -> Tensor:
        x = self.reconstruction(torch.cat(features, dim=2))
        x = self.conv_last(self.upsampler(self.conv_before_upsampler(x)))
        base = F.interpolate(clip.flatten(0, 1), scale_factor=self.scale, mode="bilinear", align_corners=False)
        return x.to(base.dtype) + base.unflatten(0, clip.shape[:2])

    def _check(self, lq: Tensor) -> None:
        t, channels, h, w = lq.shape[1:]
        if channels != 3:
            raise RequestError(f"RVRT takes clips (B, T, 3, h, w) of 3 RGB channels, got {channels} channels")
        if t % self.clip_size or not t:
            raise RequestError(
                f"RVRT restores clips of {self.clip_size} frames: a video of {t} frame(s) is no multiple of "
                f"{self.clip_size}; a restorer adds frames (frames_multiple={self.clip_size})"
            )
        if h % self.window_size[1] or w % self.window_size[2] or 0 in (h, w):
            raise RequestError(
                f"frames of {w}x{h} (width x height) do not fit RVRT's windows: the sides must be multiples of "
                f"{self.size_multiple}; a restorer pads them (size_multiple={self.size_multiple})"
            )


class SwinTrunk(nn.Module):
    """A convolution, groups of Swin blocks, and a norm on either side of these (names ``main.1``, ``.3``, ``.5``,
    ``.7``; the places between change the layout in the release).

    Args:
        in_channels: channels in.
        channels: channels of the features.
        num_groups: residual groups of Swin blocks.
        depth: blocks of a group.
        num_heads: attention heads.
        window_size: (frames, rows, columns) of the attention windows.
        mlp_ratio: hidden channels of the blocks' perceptrons, as a multiple of `channels`.
        conv_groups: groups of the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_groups: int,
        depth: int,
        num_heads: int,
        window_size: Sequence[int],
        mlp_ratio: float = 2.0,
        conv_groups: int = 1,
    ):
        super().__init__()
        groups = (ResidualSwinGroup(channels, depth, num_heads, window_size, mlp_ratio) for _ in range(num_groups))
        self.main = nn.Sequential(
            nn.Identity(),
            FrameConv(in_channels, channels, groups=conv_groups),
            ToChannelsLast(),
            nn.LayerNorm(channels),
            nn.Identity(),
            nn.Sequential(*groups),
            nn.Identity(),
            nn.LayerNorm(channels),
            ToChannelsFirst(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, in_channels, H, W) -> (B, T, channels, H, W)."""
        return self.main(x)


def flows_between_clips(steps: Tensor, clip_size: int) -> list[Tensor]:
    """Flows from every frame of a clip to every frame of the next, of flows between neighbouring frames.

    ``flow(i -> k) = flow(k-1 -> k) + warp(flow(i -> k-1), flow(k-1 -> k))``.

    Args:
        steps: (B, T-1, 2, h, w); ``steps[:, i]`` warps frame i onto frame i+1 in the order of the pass.
        clip_size: N; T is a multiple of it.

    Returns:
        For each clip but the last (B, N, N, 2, h, w): the flows that warp, onto each frame of the next clip, the frames
        of this one in the order of `slot_order`.
    """
    b, last = steps.shape[:2]
    over = [steps]  # over[d][:, i] warps frame i onto frame i + d + 1
    for distance in range(2, min(2 * clip_size - 1, last) + 1):
        first = steps[:, distance - 1 :]
        rest = over[-1][:, : last + 1 - distance]
        warped = flow_warp(rest.flatten(0, 1), first.flatten(0, 1).permute(0, 2, 3, 1))
        over.append(first + warped.unflatten(0, (b, -1)))
    clips = []
    for start in range(0, last + 1 - clip_size, clip_size):
        onto = [
            torch.stack([over[clip_size + j - i - 1][:, start + i] for _, i in slot_order(clip_size, j)], dim=1)
            for j in range(clip_size)
        ]
        clips.append(torch.stack(onto, dim=1))
    return clips


def _upsampler(channels: int, upscale: int) -> nn.Sequential:
    """Twice the sides by pixel shuffle as often as needed, then a convolution; every fifth place is a convolution."""
    layers: list[nn.Module] = []
    for _ in range(upscale.bit_length() - 1):
        layers += [FrameConv(channels, 4 * channels), nn.Identity(), nn.PixelShuffle(2), nn.Identity()]
        layers += [nn.LeakyReLU(0.1, inplace=True)]
    return nn.Sequential(*layers, FrameConv(channels, channels))


def _check_arguments(upscale: int, clip_size: int, window_size: Sequence[int], embed_dims: Sequence[int]) -> None:
    wrong: dict[str, tuple[Any, str]] = {}
    if upscale < 2 or upscale & (upscale - 1):
        wrong["upscale"] = upscale, "a power of two, 2 or more (models that keep the resolution are not known here)"
    if len(window_size) != 3 or min(window_size) < 1:
        wrong["window_size"] = tuple(window_size), "(frames, rows, columns)"
    elif clip_size < 1 or clip_size % min(clip_size, window_size[0]):
        wrong["clip_size"] = clip_size, f"a multiple of the {window_size[0]} frames of a window, or less than these"
    if embed_dims[0] != embed_dims[1]:
        wrong["embed_dims"] = tuple(embed_dims), "the same for the feature extraction and the passes"
    for name, (value, right) in wrong.items():
        raise ConfigError(f"RVRT: {name}={value} does not fit; it must be {right}")
