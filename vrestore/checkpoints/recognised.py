"""Bare weight files: which restorer runs the network that they hold."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vrestore.backbones.spandrel_image import recognise_image_network
from vrestore.checkpoints.architectures import compare
from vrestore.checkpoints.files import flatten, network_part, read_file
from vrestore.checkpoints.interpolate import interpolate_weights
from vrestore.checkpoints.network import network_state, recognise
from vrestore.errors import MissingDependencyError, WeightsError
from vrestore.registry import BACKBONES

FOREIGN = {
    "type": "FramewiseRestorer",
    "backbone": {"type": "SpandrelImageNetwork"},
    "weights_licence": "unknown: the file does not tell",
}
# Under which names a restorer of ours keeps a network of spandrel's.
KEPT = "backbone.model."


def restorer_of(file: Path) -> Mapping[str, Any]:
    """Config of the restorer for a bare weight file, as projects release them.

    Networks of ours come first (see `vrestore.checkpoints.architectures.Architecture.restorer`), then every
    single-image network that spandrel recognises.

    Raises:
        WeightsError: the file cannot be read, belongs to no network that is known, or to one that is no restorer.
    """
    try:
        return _ours(file)
    except WeightsError as error:
        try:
            found = recognise_image_network(foreign_state(file))
        except MissingDependencyError as missing:
            raise WeightsError(f"{error}; it may be {missing}") from error
        if found is None:
            raise WeightsError(f"{error}; spandrel does not know it either") from error
        return FOREIGN


def foreign_state(file: str | os.PathLike | Sequence[tuple[str | os.PathLike, float]]) -> Mapping[str, Any]:
    """The weights of a network of another project, under its own names.

    Raises:
        WeightsError: a file cannot be read, or several cannot be interpolated.
    """
    if not isinstance(file, (str, os.PathLike)):
        return interpolate_weights(file)
    content = read_file(file)
    flat: dict[str, Any] = dict(flatten(content, str(file)))
    if all(name.startswith(KEPT) for name in flat):
        return {name.removeprefix(KEPT): value for name, value in flat.items()}
    if isinstance(content, Mapping) and flat.keys() <= content.keys():
        # Some releases keep a plain value among their weights that tells the variant.
        flat |= {str(k): v for k, v in content.items() if not isinstance(v, (Tensor, Mapping))}
    inner = network_part(flat)
    return inner if recognise_image_network(flat) is None and recognise_image_network(inner) else flat


def _ours(file: Path) -> Mapping[str, Any]:
    state = network_state(file)
    architecture, renamed, arguments = recognise(state, str(file), {})
    if architecture.registry is not BACKBONES or architecture.restorer is None:
        raise WeightsError(
            f"{file} holds {architecture.name}, which is a part of restorers and restores nothing by itself; name the "
            f"restorer, or a config, beside it"
        )
    misfit = compare(renamed, architecture.likely_shapes(renamed))
    if misfit.extra or misfit.reshaped:  # a relative of the network; constants may be missing
        raise WeightsError(f"{file} looks like {architecture.name}, but does not fit: {misfit}")
    return {**architecture.restorer, "backbone": {"type": architecture.backbone, **arguments}}
