"""Deep network interpolation: one network between several of a kind (Wang et al., CVPR 2019, arXiv 1811.10515)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from vrestore.checkpoints.files import StateDict, flatten, load_state_dict
from vrestore.errors import WeightsError

Source = str | os.PathLike | Mapping[str, Any]


def interpolate_weights(parts: Sequence[tuple[Source, float]]) -> StateDict:
    """The weighted sum of several weight files, tensor by tensor.

    Real-ESRGAN's general model is steered so: with a denoising strength d the weights are
    ``[(realesr-general-x4v3.pth, d), (realesr-general-wdn-x4v3.pth, 1 - d)]``.

    Args:
        parts: weight files or state dicts, each with its share; the shares sum to 1, and one may be negative.

    Returns:
        A flat state dict under the names of the files, in the precision of the first.

    Raises:
        WeightsError: a file cannot be read, names or shapes differ, or the shares do not sum to 1.
    """
    shares = [share for _, share in parts]
    if not parts or not all(isinstance(s, (int, float)) and math.isfinite(s) for s in shares):
        raise WeightsError(f"weights to interpolate are given as [(file, share), …], got the shares {shares}")
    if abs(sum(shares) - 1) > 1e-6:
        raise WeightsError(f"the shares of interpolated weights must sum to 1, got {shares}")
    states = [(_name(source), flatten(source) if isinstance(source, Mapping) else load_state_dict(source))
              for source, _ in parts]  # fmt: skip
    first_name, first = states[0]
    for name, state in states[1:]:
        _check_alike(first_name, first, name, state)
    return {key: _sum([state[key] for _, state in states], shares) for key in first}


def _sum(tensors: list[Tensor], shares: list[float]) -> Tensor:
    if not tensors[0].is_floating_point():  # constants, such as indices
        return tensors[0]
    total = tensors[0].float() * shares[0]
    for tensor, share in zip(tensors[1:], shares[1:], strict=True):
        total = total + tensor.float() * share
    return total.to(tensors[0].dtype)


def _check_alike(first_name: str, first: StateDict, name: str, state: StateDict) -> None:
    odd = next(iter(sorted(first.keys() ^ state.keys())), None)
    if odd is not None:
        holder, lacking = (first_name, name) if odd in first else (name, first_name)
        raise WeightsError(
            f"weights of unlike networks cannot be interpolated: {holder} has '{odd}', {lacking} has not"
        )
    for key, value in first.items():
        if value.shape != state[key].shape:
            raise WeightsError(
                f"weights of unlike networks cannot be interpolated: '{key}' is {tuple(value.shape)} in {first_name} "
                f"and {tuple(state[key].shape)} in {name}"
            )


def _name(source: Source) -> str:
    return "a state dict" if isinstance(source, Mapping) else str(source)
