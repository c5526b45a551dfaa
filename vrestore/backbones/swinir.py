"""SwinIR (Liang et al., ICCVW 2021, arXiv 2108.10257), with the parameter names of its release."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError, RequestError
from vrestore.layers.window_attention import SwinBlock, shift_mask
from vrestore.registry import BACKBONES

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K
HEAD_CHANNELS = 64
UPSAMPLERS = ("pixelshuffle", "pixelshuffledirect", "nearest+conv", "")


@BACKBONES.register_module()
class SwinIR(nn.Module):
    """Groups of shifted-window transformer blocks over one image, with the head of its task.

    As in the release, the network itself mirrors images to the right and to the bottom up to whole windows and crops
    the result: the official numbers include that, so a restorer leaves it to the network. (The official test script
    mirrors images by up to a whole further window before; that is not done here.)

    Args:
        img_size: side in pixels whose shift masks are part of the weights (official: the training size). Images of any
            size are served. A side of at most one window makes windows of that side that do not shift.
        in_chans: channels of the image, in and out.
        embed_dim: feature channels.
        depths: transformer blocks of each group.
        num_heads: attention heads of each group.
        window_size: side of a window in pixels.
        mlp_ratio: hidden channels of the perceptrons, as a multiple of `embed_dim`.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: factor of the queries; None is one by the root of a head's channels.
        drop_path_rate: share of the samples that skip the last block in training; earlier blocks skip less.
        patch_norm: whether the features are normalised before the first group.
        upscale: factor; of ``nearest+conv`` 2 or 4.
        img_range: factor of the values inside (official: 255 for JPEG artefacts, else 1).
        upsampler: ``pixelshuffle`` (classical), ``pixelshuffledirect`` (lightweight), ``nearest+conv`` (real-world), or
            empty for the same size (denoising, JPEG artefacts).
        resi_connection: ``1conv`` or ``3conv`` behind each group.

    Raises:
        ConfigError: an unknown head or connection, a factor that the head does not serve, unlike lists.
    """

    input = "image"
    mean: Tensor

    def __init__(
        self,
        img_size: int | tuple[int, int] = 64,
        in_chans: int = 3,
        embed_dim: int = 96,
        depths: Sequence[int] = (6, 6, 6, 6),
        num_heads: Sequence[int] = (6, 6, 6, 6),
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_path_rate: float = 0.1,
        patch_norm: bool = True,
        upscale: int = 2,
        img_range: float = 1.0,
        upsampler: str = "",
        resi_connection: str = "1conv",
    ):
        super().__init__()
        _check(upsampler, upscale, resi_connection, depths, num_heads)
        self.scale = upscale if upsampler else 1
        self.in_channels = self.out_channels = in_chans
        self.img_range, self.upsampler = img_range, upsampler
        sides = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        shifted = min(sides) > window_size
        self.window_size = window_size if shifted else min(sides)
        self.mask_size = (
            _whole(sides[0], self.window_size),
            _whole(sides[1], self.window_size),
        )  # images are padded like that too
        self.least_size_px = self.window_size // 2 + 1  # mirroring makes at most twice the side, less one
        self.register_buffer("mean", torch.tensor(RGB_MEAN if in_chans == 3 else (0.0,)).view(1, -1, 1, 1), False)

        self.conv_first = nn.Conv2d(in_chans, embed_dim, 3, 1, 1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(embed_dim)} if patch_norm else {})
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist()
        self.layers = nn.ModuleList()
        for depth, heads in zip(depths, num_heads, strict=True):
            blocks = (
                SwinBlock(
                    embed_dim,
                    heads,
                    self.window_size,
                    shift=self.window_size // 2 if shifted and i % 2 else 0,
                    mlp_ratio=mlp_ratio,
                    qkv_bias=qkv_bias,
                    qk_scale=qk_scale,
                    drop_path=rates.pop(0),
                    mask_size=self.mask_size,
                )
                for i in range(depth)
            )
            self.layers.append(Group(blocks, _connection(embed_dim, resi_connection)))
        self.norm = nn.LayerNorm(embed_dim)
        self.conv_after_body = _connection(embed_dim, resi_connection)
        self._add_head(embed_dim, in_chans)
        self.apply(_init)

    def forward(self, x: Tensor) -> Tensor:
        """Restore images.

        Args:
            x: images (N, C, h, w) in [0, 1], of any size above half a window.

        Returns:
            Images (N, C, scale h, scale w), not clamped.

        Raises:
            RequestError: a side is too small to be mirrored up to a window.
        """
        h, w = x.shape[-2:]
        if min(h, w) < self.least_size_px:
            raise RequestError(
                f"SwinIR with windows of {self.window_size} pixels takes sides of at least {self.least_size_px} "
                f"pixels, got {w}x{h} (width x height)"
            )
        x = F.pad(x, (0, -w % self.window_size, 0, -h % self.window_size), mode="reflect")
        mean = self.mean.to(x)
        x = (x - mean) * self.img_range
        first = self.conv_first(x)
        features = self.conv_after_body(self._features(first)) + first
        restored = self._head(features) if self.upsampler else x + self.conv_last(features)
        return (restored / self.img_range + mean)[..., : h * self.scale, : w * self.scale]

    def _features(self, x: Tensor) -> Tensor:
        mask = self._mask(x.shape[-2], x.shape[-1], x.device)
        x = x.permute(0, 2, 3, 1)
        for norm in self.patch_embed.values():
            x = norm(x)
        for group in self.layers:
            x = group(x, mask)
        return self.norm(x).permute(0, 3, 1, 2)

    def _mask(self, h: int, w: int, device: torch.device) -> Tensor | None:
        """The mask of all shifted blocks at this size, one for all; None where none shifts."""
        block = next((b for b in self.modules() if isinstance(b, SwinBlock) and b.shift), None)
        if block is None:
            return None
        return block.attn_mask if (h, w) == self.mask_size else shift_mask(h, w, block.window, block.shift, device)

    def _add_head(self, embed_dim: int, channels: int) -> None:
        if self.upsampler in ("pixelshuffle", "nearest+conv"):
            self.conv_before_upsample = nn.Sequential(
                nn.Conv2d(embed_dim, HEAD_CHANNELS, 3, 1, 1), nn.LeakyReLU(inplace=True)
            )
        if self.upsampler == "pixelshuffle":
            self.upsample = nn.Sequential(*_shuffles(HEAD_CHANNELS, self.scale))
        elif self.upsampler == "pixelshuffledirect":
            self.upsample = nn.Sequential(
                nn.Conv2d(embed_dim, channels * self.scale**2, 3, 1, 1), nn.PixelShuffle(self.scale)
            )
            return
        elif self.upsampler == "nearest+conv":
            self.conv_up1 = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, 1, 1)
            if self.scale == 4:
                self.conv_up2 = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, 1, 1)
            self.conv_hr = nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, 1, 1)
        self.conv_last = nn.Conv2d(HEAD_CHANNELS if self.upsampler else embed_dim, channels, 3, 1, 1)

    def _head(self, x: Tensor) -> Tensor:
        if self.upsampler == "pixelshuffledirect":
            return self.upsample(x)
        x = self.conv_before_upsample(x)
        if self.upsampler == "pixelshuffle":
            return self.conv_last(self.upsample(x))
        for convolution in (self.conv_up1, self.conv_up2) if self.scale == 4 else (self.conv_up1,):
            x = F.leaky_relu(convolution(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2, inplace=True)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2, inplace=True))


class Group(nn.Module):
    """Transformer blocks and a convolution, added to their input (the paper's residual Swin transformer block)."""

    def __init__(self, blocks, convolution: nn.Module):
        super().__init__()
        self.residual_group = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
        self.conv = convolution

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Features (B, h, w, C) -> the same; `mask` is that of the shifted blocks."""
        inner = x
        for block in self.residual_group["blocks"]:  # type: ignore[attr-defined]
            inner = block(inner, mask if block.shift else None)
        return self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + x


def _connection(channels: int, kind: str) -> nn.Module:
    if kind == "1conv":
        return nn.Conv2d(channels, channels, 3, 1, 1)
    return nn.Sequential(
        nn.Conv2d(channels, channels // 4, 3, 1, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(channels // 4, channels // 4, 1, 1, 0),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(channels // 4, channels, 3, 1, 1),
    )


def _shuffles(channels: int, scale: int) -> list[nn.Module]:
    """Convolution and pixel shuffle for each doubling, or once by 3."""
    steps = [3] if scale == 3 else [2] * int(math.log2(scale))
    return [m for s in steps for m in (nn.Conv2d(channels, channels * s * s, 3, 1, 1), nn.PixelShuffle(s))]


def _whole(side: int, window: int) -> int:
    return side + -side % window


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check(upsampler: str, upscale: int, connection: str, depths: Sequence[int], heads: Sequence[int]) -> None:
    if upsampler not in UPSAMPLERS:
        raise ConfigError(f"SwinIR: upsampler must be one of {UPSAMPLERS}, got {upsampler!r}")
    if connection not in ("1conv", "3conv"):
        raise ConfigError(f"SwinIR: resi_connection must be '1conv' or '3conv', got {connection!r}")
    if upsampler == "nearest+conv" and upscale not in (2, 4):
        raise ConfigError(f"SwinIR: upsampler 'nearest+conv' serves upscale 2 and 4, got {upscale!r}")
    if upsampler == "pixelshuffle" and upscale != 3 and (upscale < 1 or upscale & (upscale - 1)):
        raise ConfigError(f"SwinIR: upsampler 'pixelshuffle' serves upscale 3 and powers of 2, got {upscale!r}")
    if len(depths) != len(heads):
        raise ConfigError(f"SwinIR: depths {tuple(depths)} and num_heads {tuple(heads)} must be equally long")
