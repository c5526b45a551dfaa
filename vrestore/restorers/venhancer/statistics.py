"""Standard deviations of latents over training clips: what `band_std` and `residual_std` of a config are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vrestore.errors import DataError
from vrestore.restorers.venhancer.record import conditioning_of
from vrestore.restorers.venhancer.residual import Residual
from vrestore.restorers.venhancer.training import encode_clips, encode_keys, generator_of


class Deviation:
    """Standard deviation of each channel of tensors (C, …) that are handed in one by one."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        flat = values.detach().double().flatten(1)
        self._count += flat.shape[1]
        self._sum = self._sum + flat.sum(1)
        self._squares = self._squares + flat.square().sum(1)

    def value(self) -> Tensor:
        """(C,) float64.

        Raises:
            DataError: nothing was handed in.
        """
        if not self._count:
            raise DataError("no clip was given, so there is nothing to take a standard deviation of")
        return (self._squares / self._count - (self._sum / self._count).square()).clamp(min=0).sqrt()


def band_std(model: Any, samples: Iterable[Mapping[str, Any]], power: float = 0.75) -> list[float]:
    """`band_std` for a `WaveletAutoencoder`: the deviation of each of its bands over clean clips, to a power.

    A power of 1 brings all bands to one height, 0 leaves them as they are.

    Args:
        model: a `VEnhancer` with that autoencoder.
        samples: of a `ClipDataset`.
        power: from 0 to 1.
    """
    height = Deviation()
    for sample in samples:
        latents = model.autoencoder.encode(sample["hq"])[0]
        height.add(latents * model.autoencoder.band_std.view(-1, 1, 1, 1) / model.autoencoder.scale_factor)
    return [float(std) for std in height.value() ** power]


def residual_std(model: Any, samples: Iterable[Mapping[str, Any]]) -> list[float]:
    """`residual_std` for a `VEnhancer`: the deviation of each latent channel from the base that the key frames make.

    Args:
        model: whose autoencoder is final; it need not be trained.
        samples: of a `ClipDataset` with the degradation of the training.
    """
    lacking = Deviation()
    for sample in samples:
        lq, hq = sample["lq"], sample["hq"]
        told = conditioning_of(sample["record"], len(lq), len(hq), lq.shape[-2:], hq.shape[-2:])
        draws = [generator_of(sample["record"])]
        latents, keys = encode_clips(model, hq[None], draws), encode_keys(model, [lq], hq.shape[-2:], draws)
        lacking.add(latents[0] - Residual.base(keys[0], told.key_frame_index))
    return [float(std) for std in lacking.value()]


def as_config(name: str, values: Sequence[float]) -> str:
    """The line of a config, three digits a number."""
    return f"{name}=[{', '.join(f'{value:.3f}' for value in values)}],"
