"""Weight files -> flat state dicts, without running any code that a file may hold."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vrestore.checkpoints.checksums import check_sha256, sha256_of
from vrestore.errors import WeightsError

__all__ = [
    "check_sha256",
    "flatten",
    "is_mappable",
    "load_state_dict",
    "network_part",
    "read_file",
    "sha256_of",
    "with_own_training_state",
]

StateDict = dict[str, Tensor]

# Where releases keep their weights, averaged ones first. MMEngine's checkpoints swap the average into `state_dict`.
CONTAINERS = ("params_ema", "state_dict_ema", "model_ema", "state_dict", "params", "model_state_dict", "model")
# Where releases keep the network beside a discriminator and losses, averaged ones first.
NETWORK_PREFIXES = ("generator_ema.", "net_g_ema.", "generator.", "net_g.", "backbone.")
# What wrappers and trainers add to names or leave behind.
WRAPPERS = ("module.", "_orig_mod.")
STRAY = re.compile(r"(^|\.)step_counter$")
# What only a training needs: it may be missing, or be left over.
TRAINING_STATE = re.compile(r"^(discriminator\..*|step_counter)$")

ZIP = b"PK"  # how files of torch.save begin since 1.6; older ones cannot be mapped

DAMAGED = "{path} is damaged or no weight file ({reason}); get it again"


def load_state_dict(path: str | os.PathLike, mapped: bool = False) -> StateDict:
    """Read a weight file (safetensors, .pth, .pt, .pkl, ncnn) into a flat dict of tensors on the CPU.

    Containers (``state_dict``, ``params_ema``, ``params``, …) and wrappers (``module.``) are taken off, averaged (EMA)
    weights are preferred, and counters of trainers are dropped.

    Args:
        path: the file.
        mapped: see `read_file`.

    Raises:
        WeightsError: the file is missing, empty, truncated, a web page, not a weight file, holds no weights, or holds
            anything but tensors and plain data.
    """
    return flatten(read_file(path, mapped), str(path))


def read_file(path: str | os.PathLike, mapped: bool = False) -> Any:
    """The content of a weight file as it is. What a file is is told by its first bytes, not by its name.

    ncnn networks are the exception: a ``.param`` file, or a ``.bin`` file that has a ``.param`` file beside it, is read
    by `vrestore.checkpoints.ncnn.load_ncnn`.

    Args:
        path: the file.
        mapped: read a tensor's bytes when they are used, not before, where the format allows it; the file must then
            stay as it is for as long as its tensors live.

    Raises:
        WeightsError: as `load_state_dict`.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"weights {path} is a folder; give the file in it")
    from vrestore.checkpoints.ncnn import is_ncnn, load_ncnn  # imports this module

    if is_ncnn(path):
        return load_ncnn(path)
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise WeightsError(f"weights {path} do not exist") from None
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror}") from error
    _refuse_known_mistakes(path, head)
    if _is_safetensors(head):
        return _read_safetensors(path)
    return _read_pickle(path, mapped and head.startswith(ZIP))


def is_mappable(path: str | os.PathLike) -> bool:
    """Whether a file's tensors can be read one by one, as they are used."""
    with open(path, "rb") as file:
        head = file.read(16)
    return _is_safetensors(head) or head.startswith(ZIP)


def flatten(content: Any, source: str = "the weights") -> StateDict:
    """Take containers, wrappers and counters off until a flat dict of tensors is left.

    Args:
        content: what a file holds, or a state dict.
        source: where it comes from, for the message.

    Raises:
        WeightsError: there are no tensors in it.
    """
    while isinstance(content, Mapping):
        inner = next((content[key] for key in CONTAINERS if _holds_tensors(content.get(key))), None)
        if inner is None:
            break
        content = inner
    if not _holds_tensors(content):
        kind = f"the keys {', '.join(map(str, list(content)[:5]))}" if isinstance(content, Mapping) else type(content)
        raise WeightsError(f"{source} holds no weights: found {kind} where a dict of tensors should be")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    state = {name.replace("_orig_mod.", ""): value for name, value in state.items() if not STRAY.search(name)}
    for wrapper in WRAPPERS:
        while state and all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def network_part(state_dict: Mapping[str, Tensor]) -> StateDict:
    """The restoring network of a flat state dict: without the discriminator, the losses and the prefix of its owner."""
    state = dict(state_dict)
    for prefix in NETWORK_PREFIXES:
        inside = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        # A network may have parts of its own called `backbone`: then other names stand beside it.
        whole = sum(TRAINING_STATE.match(name) is None for name in state)
        if inside and (prefix != "backbone." or len(inside) == whole):
            return inside
    return state


def with_own_training_state(state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> StateDict:
    """Weights with a model's own discriminator where they bring none, and without one where the model has none."""
    state = {n: v for n, v in state_dict.items() if n in own or TRAINING_STATE.match(n) is None}
    return state | {n: v for n, v in own.items() if n not in state and TRAINING_STATE.match(n) is not None}


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32


def _refuse_known_mistakes(path: Path, head: bytes) -> None:
    if not head:
        raise WeightsError(f"weights {path} are an empty file")
    start = head.lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(f"{path} is a web page, not weights: the download went wrong, get it again")
    if start.startswith((b"{", b"[")) and not _is_safetensors(head) and head.isascii() and b"\0" not in head:
        raise WeightsError(f"{path} is a text file (JSON, or the like), not weights")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer, not weights: run 'git lfs pull' in its repository")


def _read_safetensors(path: Path) -> StateDict:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(DAMAGED.format(path=path, reason=_first_sentence(error))) from error


def _read_pickle(path: Path, mapped: bool) -> Any:
    try:
        with torch.serialization.safe_globals(_plain_numpy()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on pickle protocols; the outcome says it all
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused or "nsupported" in str(error):
            what = f" ({refused[1]})" if refused else ""
            raise WeightsError(
                f"{path} holds more than tensors and plain data{what}, and loading it could run code, so it is "
                f"refused: save its state dict alone, best as safetensors"
            ) from error
        raise WeightsError(DAMAGED.format(path=path, reason="not a file of tensors")) from error
    except MemoryError:
        raise
    except Exception as error:  # there is nothing that damaged bytes cannot make an unpickler raise
        raise WeightsError(DAMAGED.format(path=path, reason=_first_sentence(error))) from error


def _plain_numpy() -> list:
    """NumPy's numbers and arrays are plain data too; trainers leave them among their records."""
    core = getattr(np, "_core", None) or np.core
    kinds = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
    return [
        core.multiarray.scalar,
        core.multiarray._reconstruct,
        np.ndarray,
        np.dtype,
        *{type(np.dtype(kind)) for kind in kinds},
    ]


def _holds_tensors(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    return any(isinstance(item, Tensor) or _holds_tensors(item) for item in value.values())


def _first_sentence(error: BaseException) -> str:
    sentence = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
    return sentence if any(c.isalpha() for c in sentence) else "not a file of tensors"
