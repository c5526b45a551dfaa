"""Modulated deformable convolution (DCNv2, Zhu et al., CVPR 2019, arXiv 1811.11168): one operator, three paths.

- ``torch``: ours, in plain PyTorch: any device, any float dtype, forward and backward.
- ``torchvision``: its ``deform_conv2d``, where its compiled part loads.
- ``mmcv``: its ``modulated_deform_conv2d``, where mmcv is installed with its compiled operators.

On a GPU the compiled operators are taken where they work, torchvision's first; elsewhere ours, which is the fastest on
a CPU. `deform_conv_path` and the environment variable ``VRESTORE_DEFORM_CONV`` force one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vrestore.errors import ConfigError
from vrestore.layers.memory_format import layout_of

PATHS = ("auto", "torch", "torchvision", "mmcv")
VARIABLE = "VRESTORE_DEFORM_CONV"
# Sampled values that our own path holds at a time; output rows are done in chunks of that size. A CPU is fastest where
# they stay in its caches; where gradients are wanted each chunk costs a gradient of the whole of x.
CACHED_BYTES = 4 * 2**20  # a thread
COLUMN_BYTES = 128 * 2**20

Pair = tuple[int, int]
Geometry = tuple[Pair, Pair, Pair]  # stride, padding, dilation

_forced: ContextVar[str | None] = ContextVar("deform_conv_path", default=None)


def modulated_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Convolve at positions moved by `offset`, each sample weighted by `mask`.

    Samples are bilinear; corners outside the image count as zero, one by one.

    Args:
        x: features (B, C, H, W).
        offset: (B, deform_groups * K * 2, Ho, Wo) in pixels, K = kh * kw taps; channels in the order
            ``[group][tap, row by row][dy, dx]``.
        mask: (B, deform_groups * K, Ho, Wo), channels ``[group][tap]``; None weighs every sample with 1.
        weight: (O, C / groups, kh, kw).
        bias: (O,) or None.
        stride, padding, dilation: one number, or (vertical, horizontal).
        groups: groups of the convolution.
        deform_groups: groups of channels of `x` that share an offset and a mask.

    Returns:
        (B, O, Ho, Wo), of x's memory format and dtype, or of autocast's dtype where that is on. Positions and blending
        are computed in float32 at least, whatever the dtype.

    Raises:
        ValueError: shapes that do not fit each other.
        ConfigError: the forced path does not exist, or does not work here.
    """
    geometry = (_pair(stride), _pair(padding), _pair(dilation))
    _check(x, offset, mask, weight, geometry, groups, deform_groups)
    out = _convolve(chosen_path(x), x, offset, mask, weight, bias, geometry, groups, deform_groups)
    return out.contiguous(memory_format=layout_of(x))


@contextmanager
def deform_conv_path(name: str) -> Iterator[None]:
    """Force the path of every `modulated_deform_conv2d` within: ``torch``, ``torchvision``, ``mmcv`` or ``auto``.

    Raises:
        ConfigError: no such path. One that does not work here is refused when it is used.
    """
    token = _forced.set(_known(name, "deform_conv_path"))
    try:
        yield
    finally:
        _forced.reset(token)


def chosen_path(x: Tensor) -> str:
    """The path that serves a tensor: ``torch``, ``torchvision`` or ``mmcv``.

    Raises:
        ConfigError: the forced path does not exist, or does not work here.
    """
    wanted = _forced.get() or _known(os.environ.get(VARIABLE) or "auto", f"the environment variable {VARIABLE}")
    if wanted == "auto":
        if x.device.type != "cuda":
            return "torch"
        return next((path for path in ("torchvision", "mmcv") if _obstacle(path, "cuda") is None), "torch")
    obstacle = _obstacle(wanted, x.device.type)
    if obstacle is None and wanted == "mmcv" and x.device.type == "cpu" and x.dtype == torch.float64:
        obstacle = "its CPU operator takes the floor of float64 positions in float32"
    if obstacle is not None:
        raise ConfigError(
            f"the path '{wanted}' of the deformable convolution does not work on {x.device.type} here ({obstacle}); "
            f"take 'torch', or 'auto'"
        )
    return wanted


def _convolve(
    path: str,
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
    groups: int,
    deform_groups: int,
) -> Tensor:
    autocast = torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64
    out_dtype = torch.get_autocast_dtype(x.device.type) if autocast else x.dtype
    exact = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        x, offset = x.to(exact).contiguous(), offset.to(exact)
        mask = None if mask is None else mask.to(exact)
        if path == "torch":
            out = _own(x, offset, mask, weight.to(out_dtype), geometry, groups, deform_groups)
            return out if bias is None else out + bias.to(out_dtype).view(1, -1, 1, 1)
        weight, bias = weight.to(exact), None if bias is None else bias.to(exact)
        if path == "torchvision":
            from torchvision.ops import deform_conv2d

            return deform_conv2d(x, offset, weight, bias, *geometry, mask).to(out_dtype)
        from mmcv.ops import modulated_deform_conv2d as compiled

        if mask is None:
            mask = torch.ones_like(offset[:, ::2])
        return compiled(x, offset, mask, weight, bias, *geometry, groups, deform_groups).to(out_dtype)


@cache
def _obstacle(path: str, device: str) -> str | None:
    """Why a path does not work on a device; None where it does. Told by trying it once."""
    if path == "torch":
        return None
    try:
        x, offset = torch.ones(1, 1, 2, 2, device=device), torch.zeros(1, 2, 2, 2, device=device)
        weight, geometry = x[..., :1, :1].clone(), ((1, 1), (0, 0), (1, 1))
        if path == "torchvision":
            from torchvision.ops import deform_conv2d

            deform_conv2d(x, offset, weight, None, *geometry, None)
        else:
            from mmcv.ops import modulated_deform_conv2d as compiled

            compiled(x, offset, torch.ones_like(offset[:, ::2]), weight, None, *geometry, 1, 1)
    except Exception as error:  # a package that is absent, half installed, or built for another device
        return f"{type(error).__name__}: {str(error).partition('. ')[0]}"
    return None


def _own(
    x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, geometry: Geometry, groups: int, deform_groups: int
) -> Tensor:
    """Ours: sample every tap, then one matrix product; output rows in chunks.

    Where gradients are wanted the samples are not kept: the backward pass takes them again.
    """
    needs_grad = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, offset, mask, weight))
    if needs_grad or x.device.type != "cpu":
        chunk_bytes = COLUMN_BYTES
    else:
        chunk_bytes = CACHED_BYTES * torch.get_num_threads()
    row_bytes = x.shape[0] * x.shape[1] * weight[0, 0].numel() * offset.shape[-1] * x.element_size()
    rows = max(chunk_bytes // max(row_bytes, 1), 1)
    offsets = offset.split(rows, dim=2)
    masks = [None] * len(offsets) if mask is None else mask.split(rows, dim=2)
    parts = []
    for i, (o, m) in enumerate(zip(offsets, masks, strict=True)):
        arguments = (x, o, m, weight, geometry, groups, deform_groups, i * rows)
        if needs_grad:
            parts.append(checkpoint(_rows, *arguments, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(_rows(*arguments))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _rows(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    geometry: Geometry,
    groups: int,
    deform_groups: int,
    first_row: int,
) -> Tensor:
    """The output rows that `offset` and `mask` are of, the first of which is number `first_row`."""
    b, c, h, w = x.shape
    out_channels, _, kh, kw = weight.shape
    taps, (ho, wo) = kh * kw, offset.shape[-2:]
    ys, xs = (
        base.to(x.device, x.dtype)
        for base in _base_positions((kh, kw), (first_row, first_row + ho), wo, (h, w), geometry)
    )
    moved = offset.reshape(b, deform_groups, taps, 2, ho, wo)
    grid = torch.stack((_positions(xs, moved[:, :, :, 1], w), _positions(ys, moved[:, :, :, 0], h)), dim=-1)
    samples = F.grid_sample(
        x.reshape(b * deform_groups, c // deform_groups, h, w),
        grid.view(b * deform_groups, taps * ho, wo, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    ).view(b, deform_groups, c // deform_groups, taps, ho * wo)
    if mask is not None:
        mask = mask.reshape(b, deform_groups, 1, taps, ho * wo)
        samples = samples * mask if torch.is_grad_enabled() else samples.mul_(mask)
    columns = samples.reshape(b, groups, c // groups * taps, ho * wo).to(weight.dtype)
    out = torch.matmul(weight.reshape(groups, out_channels // groups, -1), columns)
    return out.reshape(b, out_channels, ho, wo)


def _base_positions(kernel: Pair, rows: Pair, columns: int, size: Pair, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Where each tap lies before it is moved, in the range of `grid_sample`: (K, rows, 1) and (K, 1, columns)."""
    along = []
    for axis, (first, behind) in enumerate((rows, (0, columns))):
        stride, padding, dilation = (numbers[axis] for numbers in geometry)
        tap = torch.arange(kernel[axis], dtype=torch.float64) * dilation
        pixel = torch.arange(first, behind, dtype=torch.float64) * stride - padding
        along.append((2 * (tap[:, None] + pixel) + 1) / size[axis] - 1)
    return along[0].repeat_interleave(kernel[1], dim=0)[:, :, None], along[1].repeat(kernel[0], 1)[:, None]


def _positions(base: Tensor, offset: Tensor, size: int) -> Tensor:
    """Positions in the range of `grid_sample`, where -1 and 1 are the image's outer edges.

    Those more than a pixel outside are brought to there: all their corners are zero anyway, and none is too large.
    """
    return torch.add(base, offset, alpha=2 / size).clamp(-1 - 3 / size, 1 + 3 / size)


def _check(
    x: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    geometry: Geometry,
    groups: int,
    deform_groups: int,
) -> None:
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"x and weight must have 4 axes; got {tuple(x.shape)} and {tuple(weight.shape)}")
    b, c = x.shape[:2]
    kernel = weight.shape[2:]
    if c != weight.shape[1] * groups or weight.shape[0] % groups or c % deform_groups:
        raise ValueError(
            f"x has {c} channels, which do not fit a weight {tuple(weight.shape)} with groups={groups} and "
            f"deform_groups={deform_groups}"
        )
    sides = tuple(
        (x.shape[2 + i] + 2 * geometry[1][i] - geometry[2][i] * (kernel[i] - 1) - 1) // geometry[0][i] + 1
        for i in range(2)
    )
    samples = deform_groups * kernel[0] * kernel[1]
    for name, tensor, channels in (("offset", offset, 2 * samples), ("mask", mask, samples)):
        if tensor is not None and tuple(tensor.shape) != (b, channels, *sides):
            raise ValueError(f"{name} must have the shape {(b, channels, *sides)}; got {tuple(tensor.shape)}")


def _pair(value: int | tuple[int, int]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _known(name: str, source: str) -> str:
    if name not in PATHS:
        raise ConfigError(
            f"{source} names '{name}', which is no path of the deformable convolution: {', '.join(PATHS)}"
        )
    return name
