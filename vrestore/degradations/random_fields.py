"""Fields of random numbers, looked up in tables: quicker than drawing each, and the same on every machine.

A table holds a distribution's quantiles at 65536 equally likely places; 16 random bits choose one. What is lost is what
lies beyond: a normal value ends at 4.3 standard deviations, and a Poisson count at a probability of 1/65536 each side.
"""

from __future__ import annotations

from functools import lru_cache
from math import lgamma

import numpy as np
import torch
from torch import Tensor

PLACES = 1 << 16


def normal_field(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Standard normal values, float32."""
    return torch.from_numpy(_normal_table()[random_places(shape, rng)])


def poisson_field(levels: Tensor, photons: int, rng: np.random.Generator) -> Tensor:
    """Relative errors of photon counts.

    Args:
        levels: expected light, uint8: level l stands for l / 255 * `photons` photons.
        photons: at full light.
        rng: source of the draws.

    Returns:
        (count - expected) / photons of every pixel, float32, of the shape of `levels`.
    """
    table = _poisson_table(photons)
    index = levels.numpy().astype(np.int32)
    index *= PLACES
    index += random_places(tuple(levels.shape), rng)
    low = torch.from_numpy(_poisson_low(photons) / np.float32(photons) - np.arange(256, dtype=np.float32) / 255)
    counts = torch.from_numpy(table.take(index)).float().div_(photons)
    return counts.add_(low[levels.int()])


def random_places(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform 16-bit numbers of the given shape, little-endian on every machine."""
    count = int(np.prod(shape))
    return np.frombuffer(rng.bytes(2 * count), dtype="<u2").reshape(shape)


@lru_cache(maxsize=1)
def _normal_table() -> np.ndarray:
    places = (torch.arange(PLACES, dtype=torch.float64) + 0.5) / PLACES
    quantiles = torch.special.ndtri(places).numpy()
    return (quantiles / quantiles.std()).astype(np.float32)


@lru_cache(maxsize=2)
def _poisson_table(photons: int) -> np.ndarray:
    """(256 * PLACES,) uint8: how far the count lies above the least one, by level and place."""
    table = np.empty((256, PLACES), dtype=np.uint8)
    low = _poisson_low(photons)
    for level in range(256):
        first, ends = _poisson_ends(level * photons / 255)
        assert first == low[level]
        table[level] = np.repeat(np.arange(len(ends), dtype=np.uint8), np.diff(ends, prepend=0))
    return table.reshape(-1)


@lru_cache(maxsize=8)
def _poisson_low(photons: int) -> np.ndarray:
    """(256,): the least count of each level."""
    return np.array([_poisson_ends(level * photons / 255)[0] for level in range(256)], dtype=np.float32)


def _poisson_ends(expected: float) -> tuple[int, np.ndarray]:
    """The least count that gets a place, and where the places of it and of each further count end."""
    if expected == 0:
        return 0, np.array([PLACES])
    most = int(expected + 8 * expected**0.5 + 12)
    counts = np.arange(most + 1)
    log_p = counts * np.log(expected) - expected - np.array([lgamma(k + 1) for k in counts])
    ends = np.rint(np.cumsum(np.exp(log_p)) * PLACES).astype(np.int64).clip(max=PLACES)
    first = int(np.searchsorted(ends, 1))
    last = int(np.searchsorted(ends, PLACES))
    ends = ends[first : last + 1].copy()
    ends[-1] = PLACES
    return first, ends
