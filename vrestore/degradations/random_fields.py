"""Fields of random numbers, looked up in tables: quicker than drawing each, and the same on every machine.

A table holds a distribution's quantiles at equally likely places, of which random bits choose one. What is lost is what
lies beyond: a normal value (65536 places) ends at 4.3 standard deviations, a Poisson count (16384 places) at 3.8.
"""

from __future__ import annotations

from functools import lru_cache
from math import lgamma

import numpy as np
import torch
from torch import Tensor

PLACES = 1 << 16
COUNT_PLACES = 1 << 14  # so that the table of 256 levels stays within a processor's cache


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
    index = levels.numpy().astype(np.intp)
    index *= COUNT_PLACES
    index += random_places(tuple(levels.shape), rng) // (PLACES // COUNT_PLACES)
    counts = torch.from_numpy(_poisson_table(photons).take(index).astype(np.float32))
    return counts.div_(photons).sub_(levels, alpha=1 / 255)


def random_places(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Uniform 16-bit numbers of the given shape, little-endian on every machine."""
    count = int(np.prod(shape))
    return np.frombuffer(rng.bytes(2 * count), dtype="<u2").reshape(shape)


@lru_cache(maxsize=1)
def _normal_table() -> np.ndarray:
    places = (torch.arange(PLACES, dtype=torch.float64) + 0.5) / PLACES
    quantiles = torch.special.ndtri(places).numpy()
    return (quantiles / quantiles.std()).astype(np.float32)


@lru_cache(maxsize=8)
def _poisson_table(photons: int) -> np.ndarray:
    """(256 * COUNT_PLACES,) uint16: the count, by level and place."""
    table = np.empty((256, COUNT_PLACES), dtype=np.uint16)
    for level in range(256):
        ends = _poisson_ends(level * photons / 255)
        table[level] = np.repeat(np.arange(len(ends), dtype=np.uint16), np.diff(ends, prepend=0))
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
