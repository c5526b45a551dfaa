"""Read the stored reference outputs of VEnhancer, and make weights and inputs by name, as their manifest says.

Every tensor depends on its name and shape alone (NumPy's PCG64 seeded with the CRC-32 of the name).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from tests.parity.references import normal
from tests.paths import PARITY_DATA, SHARED_PARITY

WHOLE = SHARED_PARITY / "venhancer"
OWN = PARITY_DATA / "venhancer"


@cache
def manifest() -> dict[str, dict]:
    """Every entry by id; those of the clone's own copy (one file for each part) where the whole manifest is absent."""
    whole = WHOLE / "goldens.json"
    files = [whole] if whole.exists() else sorted(OWN.glob("goldens_*.json"))
    return {entry["id"]: entry for file in files for entry in json.loads(file.read_text())["entries"]}


def ids(*prefixes: str) -> list[str]:
    return [name for name in manifest() if name.startswith(prefixes)]


@cache
def read_json(name: str) -> dict:
    """A JSON file of the manifest's folder."""
    return json.loads(_find(name).read_text())


def arrays(entry: dict) -> dict[str, np.ndarray]:
    """What is stored of the entry's outputs."""
    with np.load(_find(entry["file"])) as stored:
        return dict(stored)


def make_input(spec: dict | list | None) -> torch.Tensor | None:
    """An input of an entry: normal numbers by name, or plain values; None stays None."""
    if spec is None:
        return None
    if not isinstance(spec, dict):
        return torch.tensor(spec)
    values = torch.from_numpy(normal(spec["tensor"], spec["shape"]) * np.float32(spec.get("scale", 1.0)))
    return values.tanh() if spec.get("then") == "tanh" else values


def make_weight(name: str, shape: Iterable[int], prefix: str = "") -> torch.Tensor:
    """The weight called `name`: embeddings small, norms near 1, biases near 0, matrices scaled by their fan-in."""
    shape = tuple(shape)
    z = normal(prefix + name, shape)
    if "embedding" in prefix + name:
        value = z * np.float32(0.02)
    elif len(shape) <= 1:
        value = z * np.float32(0.02) + np.float32(name.rsplit(".", 1)[-1] == "weight")
    else:
        value = z * np.float32(1.0 / np.sqrt(int(np.prod(shape[1:]))))
    return torch.from_numpy(np.ascontiguousarray(value).reshape(shape))


@torch.no_grad()
def fill(module: torch.nn.Module, prefix: str = "") -> torch.nn.Module:
    """Fill every floating-point weight by its own name, in place."""
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(make_weight(name, value.shape, prefix))
    return module.eval()


def shapes(module: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in module.state_dict().items()}


def check(entry: dict, key: str, output: torch.Tensor) -> float:
    """Hold an output to what is stored of it, at the manifest's tolerance; the whole tensor's mean and deviation too.

    Returns:
        The largest difference.
    """
    told = entry["outputs"][key]
    tolerance = entry["tol"] if isinstance(entry["tol"], dict) else {}
    atol, rtol = told.get("atol", tolerance.get("atol", 1e-6)), tolerance.get("rtol", 1e-4)
    got = output.detach().double().numpy()
    assert list(got.shape) == told["shape"], f"{entry['id']}.{key}: shape {got.shape}, not {told['shape']}"
    want = arrays(entry)[key].reshape(-1).astype(np.float64)
    difference = np.abs(got.reshape(-1)[:: told["stride"]] - want)
    worst = float(difference.max())
    assert (difference <= atol + rtol * np.abs(want)).all(), (
        f"{entry['id']}.{key}: off by {worst:.3g} (atol {atol:.3g})"
    )
    room = atol + rtol * max(1.0, told["std"])
    assert abs(got.mean() - told["mean"]) <= room
    assert abs(got.std() - told["std"]) <= room
    return worst


def _find(name: str) -> Path:
    for folder in (WHOLE, OWN):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"{name} is neither in {WHOLE} nor in {OWN}")
