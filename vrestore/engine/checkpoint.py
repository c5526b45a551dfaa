"""Training checkpoints as files: plain data and tensors only, so that they load with ``weights_only=True``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from vrestore.checkpoints.architectures import compare
from vrestore.checkpoints.files import load_state_dict, read_file, with_own_training_state
from vrestore.checkpoints.lora import with_own_lora
from vrestore.engine.files import write_text, write_whole
from vrestore.errors import TrainingError, WeightsError

POINTER = "last_checkpoint"
HISTORY_STEPS = 1000  # scalars kept of the past: what smoothing of the log may look back on after a resume


def save_checkpoint(checkpoint: dict, path: str | Path) -> Path:
    """Write a checkpoint, whole or not at all.

    Raises:
        TrainingError: a weight is not a finite number, or the file could not be written; older files are untouched.
    """
    for name, tensor in checkpoint["state_dict"].items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise TrainingError(f"'{name}' holds NaN or infinity, so no checkpoint {Path(path).name} was written")
    data = to_plain(checkpoint)
    return write_whole(path, lambda file: torch.save(data, file), tensor_bytes(data))


def load_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint onto the CPU, without running any code that it may hold.

    Raises:
        WeightsError: the file is missing, damaged, no checkpoint, or holds more than tensors and plain data.
    """
    path = Path(path)
    checkpoint = read_file(path)
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        tensors = isinstance(checkpoint, dict) and any(isinstance(value, Tensor) for value in checkpoint.values())
        found = "; it holds weights alone, from which load_from starts a training" if tensors else ""
        raise WeightsError(f"{path} is no training checkpoint: it has no 'state_dict'{found}")
    return from_plain(checkpoint)


def load_last_checkpoint(work_dir: str | Path) -> tuple[Path, dict, list[str]] | None:
    """The newest whole checkpoint of a work dir, the one that its pointer names first.

    Returns:
        Where it is, what it holds, and a sentence on each newer one that is damaged; None where there is none at all.

    Raises:
        WeightsError: there are some, and all are damaged.
    """
    first = find_last_checkpoint(work_dir)
    if first is None:
        return None
    others = [Path(work_dir) / f"iter_{n}.pth" for n in reversed(checkpoints_in(work_dir))]
    damaged: list[str] = []
    for path in [first, *(other for other in others if other != first)]:
        try:
            return path, load_checkpoint(path), damaged
        except WeightsError as error:
            damaged.append(str(error))
    raise WeightsError(f"{work_dir} has no whole checkpoint to resume: {'; '.join(damaged)}")


def load_weights(path: str | Path, model: torch.nn.Module) -> dict[str, Tensor]:
    """The state dict of a checkpoint (the averaged weights, where it has them) or of a safetensors file.

    A file that holds a network alone is read as the `backbone` of `model`.

    Raises:
        WeightsError: missing or damaged.
    """
    is_checkpoint = Path(path).suffix != ".safetensors"
    state = load_checkpoint(path)["state_dict"] if is_checkpoint else load_state_dict(path)
    own = model.state_dict()
    if not any(name in own for name in state) and any(f"backbone.{name}" in own for name in state):
        state = {name: own[name] for name in own if not name.startswith("backbone.")} | {
            f"backbone.{name}": tensor for name, tensor in state.items()
        }
    return dict(with_own_lora(with_own_training_state(state, own), own))


def find_last_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint that `work_dir`'s pointer names, else its newest ``iter_N.pth``, else None."""
    work_dir = Path(work_dir)
    pointer = work_dir / POINTER
    if pointer.is_file():
        named = work_dir / pointer.read_text(encoding="utf-8", errors="replace").strip()
        if named.is_file():
            return named
    numbers = checkpoints_in(work_dir)
    return work_dir / f"iter_{numbers[-1]}.pth" if numbers else None


def checkpoints_in(work_dir: str | Path) -> list[int]:
    """The iterations of the ``iter_N.pth`` in a folder, ascending."""
    names = (re.fullmatch(r"iter_(\d+)\.pth", path.name) for path in Path(work_dir).glob("iter_*.pth"))
    return sorted(int(match[1]) for match in names if match)


def point_to(path: str | Path) -> None:
    """Make `path` the checkpoint that a resumed run starts from."""
    path = Path(path)
    write_text(path.parent / POINTER, path.name + "\n")


def tensor_bytes(value: Any) -> int:
    """Bytes of all tensors in nested plain data: about the size of its file."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(tensor_bytes(item) for item in value.values())
    return sum(tensor_bytes(item) for item in value) if isinstance(value, list | tuple) else 0


def to_plain(value: Any) -> Any:
    """`value` with everything that is neither a tensor nor plain data turned into such; inverse of `from_plain`.

    Raises:
        TrainingError: a value of another kind, which a safe loader would refuse later.
    """
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return {
            "__history__": torch.as_tensor(np.asarray(log[-HISTORY_STEPS:], dtype=np.float64)),
            "counts": torch.as_tensor(np.asarray(count[-HISTORY_STEPS:], dtype=np.float64)),
        }
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, np.ndarray):
        return torch.as_tensor(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {to_plain(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(v) for v in value] if not isinstance(value, tuple) else tuple(to_plain(v) for v in value)
    if value is None or isinstance(value, bool | bytes | torch.dtype | torch.device):
        return value
    for kind in (int, float, str):  # a subclass, such as torch's version text, would not load safely
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Path):
        return str(value)
    raise TrainingError(f"a checkpoint holds tensors and plain data only, not {type(value).__name__}: {value!r:.80}")


def from_plain(value: Any) -> Any:
    """Rebuild what `to_plain` turned into plain data."""
    if isinstance(value, dict):
        if "__history__" in value:
            return HistoryBuffer(value["__history__"].tolist(), value["counts"].tolist())
        return {k: from_plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [from_plain(v) for v in value]
    return value


def check_fits(state: Mapping[str, Tensor], model: torch.nn.Module, source: str | Path) -> None:
    """Refuse weights that are not exactly the model's.

    Raises:
        WeightsError: names the first differences.
    """
    misfit = compare(state, model.state_dict())
    if misfit.faults:
        raise WeightsError(
            f"{source} holds the weights of another model than the config's {type(model).__name__}: {misfit}"
        )
