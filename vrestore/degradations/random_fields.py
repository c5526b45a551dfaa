"""Fields of random numbers, looked up in tables: quicker than drawing each, and the same on every machine.

A table holds a distribution's quantiles at equally likely places, of which random bits choose one. What is lost is what
lies beyond: a normal value (65536 places) ends at 4.3 standard deviations, a Poisson count (16384 places) at 3.8.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from math import lgamma

import numpy as np
import torch
from torch import Tensor

PLACES = 1 << 16
COUNT_PLACES = 1 << 14  # so that the table of 256 levels stays within a processor's cache


def normal_field(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Standard normal values, float32."""
    places = torch.from_numpy(random_places(shape, rng).astype(np.int32)).flatten()
    return torch.from_numpy(_normal_table()).index_select(0, places).view(shape)


def poisson_field(levels: Tensor, photons: int, rng: np.random.Generator) -> Tensor:
    """Relative errors of photon counts.

    Args:
        levels: expected light, uint8: level l stands for l / 255 * `photons` photons.
        photons: at full light.
        rng: source of the draws.

    Returns:
        (count - expected) / photons of every pixel, float32, of the shape of `levels`.
    """
    places = random_places(tuple(levels.shape), rng) >> (PLACES // COUNT_PLACES).bit_length() - 1
    index = torch.from_numpy(places.astype(np.int32)).add_(levels.int(), alpha=COUNT_PLACES).flatten()
    counts = torch.from_numpy(_poisson_table(photons)).index_select(0, index).float().view(levels.shape)
    return counts.div_(photons).sub_(levels, alpha=1 / 255)


def random_places(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform 16-bit numbers of the given shape, little-endian on every machine."""
    count = int(np.prod(shape))
    return np.frombuffer(random_bytes(2 * count, rng), dtype="<u2", count=count).reshape(shape)


def random_bytes(count: int, rng: np.random.Generator) -> np.ndarray | bytes:
    """`rng.bytes(count)`, or those and a few more, in half the time; what `rng` draws next is the same."""
    bits = rng.bit_generator
    if type(bits) is not np.random.PCG64 or sys.byteorder != "little" or not count:
        return rng.bytes(count)
    # The generator makes 64 bits at a time, of which the lower half is used first; the upper one waits for the next.
    before, n_words = bits.state, -(-count // 4)
    waiting = int(before["has_uint32"])
    raw = bits.random_raw((n_words - waiting + 1) // 2)
    after = bits.state
    after["has_uint32"] = (n_words - waiting) % 2
    after["uinteger"] = int(raw[-1] >> np.uint64(32)) if len(raw) else before["uinteger"]
    bits.state = after
    words = raw.view("<u4")
    return np.concatenate((np.array([before["uinteger"]], dtype="<u4"), words)) if waiting else words


@lru_cache(maxsize=1)
def _normal_table() -> np.ndarray:
    places = (torch.arange(PLACES, dtype=torch.float64) + 0.5) / PLACES
    quantiles = torch.special.ndtri(places).numpy()
    return (quantiles / quantiles.std()).astype(np.float32)


@lru_cache(maxsize=8)
def _poisson_table(photons: int) -> np.ndarray:
    """(256 * COUNT_PLACES,) int16: the count, by level and place."""
    table = np.empty((256, COUNT_PLACES), dtype=np.int16)
    for level in range(256):
        ends = _poisson_ends(level * photons / 255)
        table[level] = np.repeat(np.arange(len(ends), dtype=np.int16), np.diff(ends, prepend=0))
    return table.reshape(-1)


def _poisson_ends(expected: float) -> np.ndarray:
    """Where the places of each count, from 0 on, end."""
    if expected == 0:
        return np.array([COUNT_PLACES])
    counts = np.arange(int(expected + 8 * expected**0.5 + 12) + 1)
    log_p = counts * np.log(expected) - expected - np.array([lgamma(k + 1) for k in counts])
    ends = np.rint(np.cumsum(np.exp(log_p)) * COUNT_PLACES).astype(np.int64).clip(max=COUNT_PLACES)
    ends[-1] = COUNT_PLACES
    return ends
