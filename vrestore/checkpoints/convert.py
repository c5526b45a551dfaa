"""Official weight files -> safetensors that say what they hold."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import save_file

from vrestore.checkpoints.architectures import Architecture, compare
from vrestore.checkpoints.files import StateDict, is_mappable, load_state_dict, sha256_of
from vrestore.checkpoints.materialise import as_dtype, check_finite, in_groups
from vrestore.checkpoints.ncnn import weights_file
from vrestore.checkpoints.network import network_state, recognise
from vrestore.checkpoints.weightless import weightless
from vrestore.disk import move_into_place, why_unwritten
from vrestore.errors import ConfigError, VRestoreError, WeightsError
from vrestore.plugins import load_plugins


@dataclass(frozen=True)
class Conversion:
    """What was converted.

    Attributes:
        file: the new file.
        architecture: what the weights are of.
        tensors: how many were written.
        parameters: how many numbers they hold.
        dtype: of the floating ones; several are joined by commas.
        sha256: of the source file.
        left_aside: tensors of other networks in the source file.
    """

    file: Path
    architecture: str
    tensors: int
    parameters: int
    dtype: str
    sha256: str
    left_aside: int

    def __str__(self) -> str:
        aside = f"; {self.left_aside} tensors of other networks were left aside" if self.left_aside else ""
        size = f"{self.tensors} tensors, {self.parameters:,} parameters, {self.dtype}"
        return f"{self.file}: {self.architecture}, {size}{aside}"


def convert_checkpoint(
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    dtype: str | torch.dtype | None = None,
    architecture: str | None = None,
    origin: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    **keywords: Any,
) -> Conversion:
    """Write the network of a weight file as safetensors under our names, with metadata on where it comes from.

    The metadata are ``architecture``, ``dtype``, ``source``, ``sha256`` (of the source file) and ``format``. The new
    file loads through `load_network` as the old one does. Nothing but tensors is taken from the source, and no code in
    it is run. Memory holds the weights once at most.

    Args:
        source: any file that `load_network` knows; it may hold other networks and trainers' records beside. Of an ncnn
            network, the `.param` file; ``source`` and ``sha256`` are then those of its `.bin` file.
        target: the file to make, ending in .safetensors.
        dtype: precision of what is floating; None keeps the file's.
        architecture: which network to take, where a file holds several; None finds it out.
        origin: what the metadata name as the source; None is the file's name.
        overwrite: replace `target` where it exists.
        progress: show bars on stderr.
        keywords: what shapes cannot tell (see `load_network`).

    Raises:
        ConfigError: `dtype` is no precision.
        WeightsError: the source cannot be read, holds objects that are no tensors or plain data, or fits no known
            architecture exactly; or the target cannot be written. Nothing half-written is left.
    """
    source, target, precision = Path(source), Path(target), as_dtype(dtype)
    _check_target(source, target, overwrite)
    state = load_state_dict(source, mapped=True)
    found, renamed, arguments = recognise(network_state(state), str(source), keywords, architecture)
    _check_fit(found, renamed, arguments, source)
    file = weights_file(source)
    with _bars(progress) as bars:
        reading = bars.add_task("reading", total=file.stat().st_size)
        digest = sha256_of(file, lambda size: bars.advance(reading, size))
        checking = bars.add_task("converting", total=sum(value.nbytes for value in renamed.values()))
        converted: StateDict = {}
        again = (lambda: found.rename(network_state(source))) if is_mappable(source) else None
        for group in in_groups(renamed, again):
            for name, value in group.items():
                check_finite(name, value, f"{source}")
                converted[name] = _as(value, precision)
                bars.advance(checking, value.nbytes)
        names = sorted({str(v.dtype).removeprefix("torch.") for v in converted.values() if v.is_floating_point()})
        metadata = {
            **{"format": "pt", "architecture": found.name, "dtype": ",".join(names)},
            **{"source": origin or file.name, "sha256": digest},
        }
        _write(converted, target, metadata)
    return Conversion(
        file=target,
        architecture=found.name,
        tensors=len(converted),
        parameters=sum(value.numel() for value in converted.values()),
        dtype=metadata["dtype"],
        sha256=digest,
        left_aside=len(state) - len(renamed),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``tools/convert_checkpoint.py``. Returns the exit status: 0, or 2 after a mistake told in one sentence."""
    parser = argparse.ArgumentParser(
        prog="convert_checkpoint.py",
        description="Turn an official weight file into safetensors: the architecture is detected, nothing but tensors "
        "is taken, and no code in the file is run.",
    )
    parser.add_argument(
        "source", metavar="IN", help="a weight file (.pt, .pth, .ckpt, .bin, .safetensors, or ncnn's .param)"
    )
    parser.add_argument("target", metavar="OUT", help="the file to make, ending in .safetensors")
    parser.add_argument("--dtype", metavar="fp32|fp16|bf16", help="precision to write (default: the file's)")
    parser.add_argument("--architecture", metavar="NAME", help="which network to take, where a file holds several")
    parser.add_argument(
        "--origin", metavar="TEXT", help="what the metadata name as the source (default: the file's name)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT where it exists")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help="import your own module first")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what shapes cannot tell, for other than official sizes: --set head_dim=16",
    )
    options = vars(parser.parse_args(argv))
    try:
        load_plugins(options.pop("plugin"))
        keywords = dict(_keyword(text) for text in options.pop("set"))
        print(convert_checkpoint(**options, progress=sys.stderr.isatty(), **keywords))
    except VRestoreError as error:
        print(f"convert_checkpoint: {error}", file=sys.stderr)
        return 2
    return 0


def _keyword(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ConfigError(f"--set takes NAME=VALUE; got '{text}'")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix != ".safetensors":
        raise WeightsError(f"the new file must end in .safetensors; got {target}")
    if target.exists():
        if source.exists() and target.samefile(source):
            raise WeightsError(f"{target} is the source itself; give the new file another name")
        if not overwrite:
            raise WeightsError(f"{target} exists already; give another name, or overwrite it (--overwrite)")


def _check_fit(found: Architecture, renamed: StateDict, arguments: dict[str, Any], source: Path) -> None:
    with weightless():
        expected = found.build(arguments).state_dict()
    if found.constants:
        expected = {n: v for n, v in expected.items() if n in renamed or not re.search(found.constants, n)}
    misfit = compare(renamed, expected)
    if misfit.faults:
        raise WeightsError(f"{source} looks like {found.name}, but does not fit: {misfit}")


def _as(value: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """The value in that precision. Where nothing changes it stays in the mapped file, and takes no memory."""
    if dtype is not None and value.is_floating_point():
        value = value.to(dtype)
    return value.contiguous()


def _write(tensors: StateDict, target: Path, metadata: dict[str, str]) -> None:
    """Write under a temporary name, and move into place what is whole."""
    seen: set[int] = set()
    for name, value in tensors.items():  # safetensors refuses two names for one memory
        if value.numel() and value.data_ptr() in seen:
            tensors[name] = value.clone()
        seen.add(value.data_ptr())
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata=metadata)
        move_into_place(temporary, target)
    except (OSError, SafetensorError) as error:
        need = sum(value.nbytes for value in tensors.values())
        told = why_unwritten(error, target, need, "nothing was left there half-written")
        raise WeightsError(told) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _bars(progress: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True)
