"""load_network: weights in, the network they belong to out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import torch.nn as nn
from torch import Tensor

from vrestore.checkpoints.architectures import Architecture, compare, identify
from vrestore.checkpoints.files import StateDict, flatten, load_state_dict, network_part
from vrestore.errors import WeightsError
from vrestore.plugins import load_installed_plugins


def load_network(weights: str | os.PathLike | Mapping[str, Any], **keywords: Any) -> nn.Module:
    """Build the network that weights belong to, and load every one of them.

    The architecture and its sizes are read from names and shapes; the names of the official releases are known, with or
    without the prefixes under which they keep the network (``generator.``, ``params_ema``, …).

    Args:
        weights: a weight file (safetensors, .pth, …) or a state dict.
        keywords: what shapes cannot tell, each with the official value as default.

    Returns:
        The network, on the CPU, in evaluation mode. Every name was loaded, and none was left over.

    Raises:
        WeightsError: the file cannot be read, or the weights fit no known architecture exactly; the message names the
            closest one, how many names match, which are missing and which are left over.
    """
    source = "the state dict" if isinstance(weights, Mapping) else str(weights)
    state = network_part(flatten(weights) if isinstance(weights, Mapping) else load_state_dict(weights))
    load_installed_plugins()  # they may bring architectures
    architecture, renamed = identify(state, source)
    try:
        arguments = architecture.arguments(renamed, keywords)
    except (KeyError, IndexError) as error:
        misfit = compare(renamed, architecture.likely_shapes(renamed))
        raise WeightsError(f"{source} looks like {architecture.name}, but does not fit: {misfit}") from error
    network = architecture.build(arguments)
    load_exactly(network, renamed, f"{source} looks like {architecture.name}, but", architecture)
    return network.eval()


def load_exactly(
    network: nn.Module, weights: StateDict, subject: str, architecture: Architecture | None = None
) -> None:
    """Load weights of which none may be missing or left over; constants of the architecture may.

    Args:
        network: what is filled.
        weights: a flat state dict under the network's own names.
        subject: beginning of the error's sentence.
        architecture: the architecture whose `constants` are taken from the network where the weights lack them.

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
    _check_finite(weights, subject)
    network.load_state_dict(weights)


def _check_finite(weights: Mapping[str, Tensor], subject: str) -> None:
    for name, value in weights.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise WeightsError(f"{subject} holds a value in '{name}' that is not a finite number")
