"""Reference weights: made from the official names alone, so that a network runs without any release.

Every value depends on its name and shape only (NumPy's PCG64, seeded with the CRC-32 of the name), never on order or on
torch's random numbers: the same numbers everywhere, which is what a smoke test and a timing need. What such a network
makes of a video means nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn as nn

from vrestore.registry import LOSSES
from vrestore.restorers.base import BaseRestorer

# What is given in the place of a weight file; what follows is put before every name, which makes other weights.
REFERENCE = "reference:"

# Factors that keep the signal's size through deep stacks: ends of residual branches, offsets, flows, attention.
DAMPING = (
    (r"(^|\.)conv2\.weight$", 0.1),
    (r"(^|\.)image_cleaning\.1\.weight$", 0.2),
    (r"(^|\.)temporal_attn\d\.weight$", 0.5),
    (r"_imnet\.net\.\d+\.linear\.weight$", 1 / 30),
    (r"(^|\.)lastconv(\.0)?\.weight$", 0.3),
)
NORM_WEIGHT = re.compile(r"(^|\.)\w*(norm|bn)\w*\.(\d+\.)?weight$")


def fill_with_reference(module: nn.Module, prefix: str = "") -> None:
    """Give a network, or every network of a restorer, its reference weights; buffers stay as they are.

    Args:
        module: a network whose own names are the official ones, or a restorer.
        prefix: put before every name, for other weights of the same kind.
    """
    for network in _networks(module) if isinstance(module, BaseRestorer) else [module]:
        if any(parameter.is_meta for parameter in network.parameters()):
            network.to_empty(device="cpu")
        for name, parameter in network.named_parameters():
            value = torch.from_numpy(reference_array(name, tuple(parameter.shape), prefix))
            parameter.data.copy_(value)


def reference_array(name: str, shape: tuple[int, ...], prefix: str = "") -> np.ndarray:
    """The reference weight of a name, float32.

    Vectors are small around 0, or around 1 where they scale a normalised signal; anything else is normal with a
    standard deviation of one by the root of its inputs, times `DAMPING`.
    """
    rng = np.random.Generator(np.random.PCG64(zlib.crc32((prefix + name).encode())))
    normal = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) <= 1:
        return np.asarray(0.02 * normal + (1 if NORM_WEIGHT.search(name) else 0), dtype=np.float32)
    factor = float(np.prod([times for pattern, times in DAMPING if re.search(pattern, name)]))
    return normal * np.float32(factor / np.sqrt(int(np.prod(shape[1:]))))


def _networks(owner: nn.Module) -> Iterator[nn.Module]:
    """The networks of a restorer, of the restorers that it chains too, without its losses."""
    LOSSES.import_from_location()
    for child in owner.children():
        if type(child) in LOSSES.module_dict.values():
            continue
        if isinstance(child, BaseRestorer) or any(isinstance(part, BaseRestorer) for part in child.modules()):
            yield from _networks(child)
        elif any(True for _ in child.parameters()):
            yield child
