"""export_weights: from a training checkpoint to a small safetensors file that says where it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from vrestore.engine.checkpoint import load_checkpoint
from vrestore.engine.files import write_whole
from vrestore.errors import ConfigError, WeightsError
from vrestore.layers.lora import is_lora, merged_state

BACKBONE = "backbone."
ROUNDINGS = {"fp16": torch.float16, "bf16": torch.bfloat16}


def export_weights(
    checkpoint: str | Path, out: str | Path, *, prefix: str | None = None, dtype: str | None = None
) -> Path:
    """Write the (averaged) weights of a checkpoint as safetensors, LoRAs merged into what they adapt.

    Args:
        checkpoint: a training checkpoint; with an EMAHook its weights are the averaged ones.
        out: file to write, ``….safetensors``.
        prefix: only parameters of this part, without the prefix. None takes ``backbone.`` where the model has one, so
            that the names are those of the network itself; ``''`` takes everything.
        dtype: ``fp16`` or ``bf16`` rounds floating point weights to half the size; None keeps them.

    Returns:
        `out`. Its metadata, all text: `format`, `config` (name of the training config), `iterations`, `architecture`
        (the config of what was exported, as JSON), `model` (the whole model's, as JSON), `sha256` of the tensors
        (see `sha256_of_tensors`), `vrestore_version`.

    Raises:
        ConfigError: an unknown dtype.
        WeightsError: the checkpoint is damaged, or has no such part.
        TrainingError: `out` could not be written.
    """
    data = load_checkpoint(checkpoint)
    state, meta = merged_state(data["state_dict"]), data.get("meta", {})
    if prefix is None:
        prefix = BACKBONE if any(name.startswith(BACKBONE) for name in state) else ""
    if dtype not in (None, *ROUNDINGS):
        raise ConfigError(f"dtype must be None, {' or '.join(ROUNDINGS)}, got {dtype!r}")
    tensors = {name[len(prefix) :]: t.contiguous() for name, t in state.items() if name.startswith(prefix)}
    if dtype is not None:
        tensors = {n: t.to(ROUNDINGS[dtype]) if t.is_floating_point() else t for n, t in tensors.items()}
    if not tensors:
        raise WeightsError(f"{checkpoint} has no weights under '{prefix}'")
    model = {key: value for key, value in meta.get("model", {}).items() if key != "lora"}  # its weights hold it now
    part = model.get(prefix.rstrip("."), model) if prefix else model
    metadata = {
        "format": "pt",
        "config": str(meta.get("config_name") or ""),
        "iterations": str(meta.get("iter", "")),
        "architecture": json.dumps(part),
        "model": json.dumps(model),
        "sha256": sha256_of_tensors(tensors),
        "vrestore_version": str(meta.get("vrestore_version", "")),
    }
    content = _with_sorted_header(save(tensors, metadata=metadata))
    return write_whole(out, lambda file: file.write(content), len(content))


def export_lora(checkpoint: str | Path, out: str | Path) -> Path | None:
    """Write the (averaged) LoRA weights of a checkpoint's backbone alone, under the names of the backbone's layers.

    Args:
        checkpoint: a training checkpoint.
        out: file to write, ``….safetensors``; `vrestore.checkpoints.lora.load_lora` and the config's
            ``weights=dict(lora=…)`` read it.

    Returns:
        `out`; None, and no file, where the checkpoint holds no LoRA.
    """
    data = load_checkpoint(checkpoint)
    meta = data.get("meta", {})
    tensors = {n[len(BACKBONE) :]: t.contiguous() for n, t in data["state_dict"].items() if n.startswith(BACKBONE)}
    tensors = {name: tensor for name, tensor in tensors.items() if is_lora(name)}
    if not tensors:
        return None
    metadata = {
        "format": "pt",
        "kind": "lora",
        "config": str(meta.get("config_name") or ""),
        "iterations": str(meta.get("iter", "")),
        "sha256": sha256_of_tensors(tensors),
        "vrestore_version": str(meta.get("vrestore_version", "")),
    }
    content = _with_sorted_header(save(tensors, metadata=metadata))
    return write_whole(out, lambda file: file.write(content), len(content))


def sha256_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """One hash of the names, types, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _with_sorted_header(content: bytes) -> bytes:
    """The same safetensors file with its header in one order, so that equal weights make equal files.

    A file is the header's length (8 bytes, little-endian), the header (JSON, padded to 8 bytes) and the tensors, whose
    offsets count from the end of the header.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
