"""load_network: weights in, the network they belong to out."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, compare, identify
from vrestore.checkpoints.files import StateDict, flatten, is_mappable, load_state_dict, network_part
from vrestore.checkpoints.materialise import (
    Reader,
    as_dtype,
    build_without_memory,
    check_finite,
    is_meta,
    materialise,
)
from vrestore.checkpoints.terms import tell_terms_of_file
from vrestore.errors import WeightsError
from vrestore.registry import load_installed


def load_network(
    weights: str | os.PathLike | Mapping[str, Any], *, dtype: str | torch.dtype | None = None, **keywords: Any
) -> nn.Module:
    """Build the network that weights belong to, and load every one of them.

    The architecture and its sizes are read from names and shapes; the names of the official releases are known, with or
    without the prefixes under which they keep the network (``generator.``, ``params_ema``, …). Memory holds the weights
    once, in the precision asked for: they are read and converted one after the other.

    Args:
        weights: a weight file (safetensors, .pth, ncnn's .param, …) or a state dict.
        dtype: precision of the network: 'fp32', 'fp16', 'bf16' or a torch dtype; None is fp32, whatever the file holds.
        keywords: what shapes cannot tell, each with the official value as default.

    Returns:
        The network, on the CPU, in evaluation mode. Every name was loaded, and none was left over.

    Raises:
        ConfigError: `dtype` is no precision.
        WeightsError: the file cannot be read, or the weights fit no known architecture exactly; the message names the
            closest one, how many names match, which are missing and which are left over.
    """
    precision = as_dtype(dtype)
    source = "the state dict" if isinstance(weights, Mapping) else str(weights)
    state = network_state(weights)
    architecture, renamed, arguments = recognise(state, source, keywords)
    network = build_without_memory(architecture.build, arguments, renamed) or architecture.build(arguments)
    again = _reader(weights, architecture)
    subject = f"{source} looks like {architecture.name}, but"
    load_exactly(network, renamed, subject, architecture, dtype=precision, again=again)
    if not isinstance(weights, Mapping):
        tell_terms_of_file(weights)
    return network.eval()


def recognise(
    state: Mapping[str, Tensor], source: str, keywords: Mapping[str, Any], wanted: str | None = None
) -> tuple[Architecture, StateDict, dict[str, Any]]:
    """What weights are of: the architecture, the weights under our names, and the arguments of the network.

    Args:
        state: flat weights.
        source: where they come from, for the message.
        keywords: what shapes cannot tell.
        wanted: name of the architecture; None finds it out.

    Raises:
        WeightsError: as `load_network`.
    """
    load_installed()  # they may bring architectures
    architecture, renamed = identify(state, source, wanted)
    try:
        return architecture, renamed, architecture.arguments(renamed, keywords)
    except (KeyError, IndexError) as error:
        misfit = compare(renamed, architecture.likely_shapes(renamed))
        raise WeightsError(f"{source} looks like {architecture.name}, but does not fit: {misfit}") from error


def load_exactly(
    network: nn.Module,
    weights: StateDict,
    subject: str,
    architecture: Architecture | None = None,
    *,
    dtype: torch.dtype | None = None,
    again: Reader | None = None,
) -> None:
    """Load weights of which none may be missing or left over; constants of the architecture may.

    Args:
        network: what is filled; one on the meta device gets its memory here.
        weights: a flat state dict under the network's own names.
        subject: beginning of the error's sentence.
        architecture: the architecture whose `constants` are taken from the network where the weights lack them.
        dtype: precision that the network is brought to; None leaves it its own.
        again: reads `weights` from their file anew (see `materialise`).

    Raises:
        WeightsError: names what is missing, left over or of another shape.
    """
    own = network.state_dict()
    if architecture is not None and architecture.constants:
        pattern = re.compile(architecture.constants)
        weights = {**{name: v for name, v in own.items() if pattern.search(name)}, **weights}
    misfit = compare(weights, own)
    if misfit.faults:
        raise WeightsError(f"{subject} does not fit: {misfit}")
    if is_meta(network):
        materialise(network, weights, subject, dtype=dtype, again=again)
        return
    for name, value in weights.items():
        check_finite(name, value, subject)
    network.load_state_dict(weights)
    if dtype is not None:
        network.to(dtype)


def fill_from_file(
    network: nn.Module,
    file: str | os.PathLike,
    *,
    dtype: torch.dtype | None = None,
    subject: str | None = None,
    leave_out: Sequence[str] = (),
    part: str | None = None,
) -> None:
    """Load every weight of a file into a network that was built for it; memory holds the weights once.

    Args:
        network: what is filled; one on the meta device gets its memory here, and is the cheaper for it.
        file: weights under the network's own names or those of an official release.
        dtype: precision that the network is brought to; None leaves it its own.
        subject: beginning of the error's sentence; None names the file and the network.
        leave_out: glob patterns on the names of weights in the file that the network is to go without.
        part: what the network is called in files of several, such as ``discriminator``; None is the restoring one.

    Raises:
        WeightsError: the file cannot be read, or what is taken of it does not fit exactly.
    """
    state, architecture = _without(network_state(file, part), leave_out), None
    if state.keys() != network.state_dict().keys():
        load_installed()
        architecture, state = identify(network_state(file, part), str(file))
        state = _without(state, leave_out)
    subject = subject or f"{file} for {type(network).__name__}"
    again = None if leave_out else _reader(file, architecture, part)
    load_exactly(network, state, subject, architecture, dtype=dtype, again=again)


def _without(state: StateDict, patterns: Sequence[str]) -> StateDict:
    return {k: v for k, v in state.items() if not any(fnmatch.fnmatch(k, p) for p in patterns)} if patterns else state


def _reader(
    weights: str | os.PathLike | Mapping[str, Any], architecture: Architecture | None, part: str | None = None
) -> Reader | None:
    """What reads a file's weights anew, under the architecture's names; None where that would be no gain."""
    if isinstance(weights, Mapping) or not is_mappable(weights):
        return None
    if architecture is None:
        return lambda: network_state(weights, part)
    return lambda: architecture.rename(network_state(weights, part))


def network_state(weights: str | os.PathLike | Mapping[str, Any], part: str | None = None) -> StateDict:
    """The network's part of a file or state dict, or the one called `part`, where there is such a one.

    A file's tensors are read when they are used.
    """
    state = flatten(weights) if isinstance(weights, Mapping) else load_state_dict(weights, mapped=True)
    inside = f"{part}."
    named = {name.removeprefix(inside): value for name, value in state.items() if name.startswith(inside)}
    return named if part is not None and named else network_part(state)
