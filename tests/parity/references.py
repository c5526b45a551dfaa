"""Read the stored reference outputs of the baselines, and make weights and inputs by name, as their manifest says.

The rules of the name-keyed values stand in ``../shared/parity/README.md``: every tensor depends on its name and shape
alone (NumPy's PCG64 seeded with the CRC-32 of the name).
"""

from __future__ import annotations

import json
import re
import zlib
from functools import cache

import numpy as np
import torch

from tests.paths import PARITY_DATA, SHARED_PARITY
from vrestore.checkpoints.architectures import compare
from vrestore.checkpoints.network import network_state, recognise
from vrestore.checkpoints.weightless import weightless

KEPT_BUFFERS = {"mean", "std", "relative_position_index", "attn_mask"}


@cache
def manifest() -> dict[str, dict]:
    """Every entry by name; those of the clone's own copy where the whole manifest is absent."""
    whole = SHARED_PARITY / "baselines" / "goldens.json"
    own = PARITY_DATA / "baselines" / "goldens.json"
    return {e["name"]: e for e in json.loads((whole if whole.exists() else own).read_text())["goldens"]}


def names(*prefixes: str) -> list[str]:
    return [name for name in manifest() if name.startswith(prefixes)]


def key_lists(*prefixes: str) -> list[str]:
    """Names of the lists of official names and shapes; none where they are absent."""
    folder = SHARED_PARITY / "baselines" / "keys"
    return sorted(p.stem for p in folder.glob("*.json") if p.stem.startswith(prefixes))


def key_list(name: str) -> dict:
    """Names and shapes (``keys``) and arguments (``args``) of an official variant."""
    return json.loads((SHARED_PARITY / "baselines" / "keys" / f"{name}.json").read_text())


def network_of_keys(listed: dict, **keywords) -> torch.nn.Module:
    """The network that an official list is recognised as, without memory for its weights."""
    integers = {name for name, dtype in listed["dtypes"].items() if dtype == "torch.int64"}
    shapes = {
        name: torch.empty(shape, dtype=torch.int64 if name in integers else torch.float32, device="meta")
        for name, shape in listed["keys"].items()
    }
    architecture, renamed, arguments = recognise(network_state(shapes), listed["variant"], keywords)
    with weightless():
        network = architecture.build(arguments)
    assert not compare(renamed, network.state_dict()).faults
    return network


def arrays(entry: dict) -> dict[str, np.ndarray]:
    for folder in (PARITY_DATA / "baselines", SHARED_PARITY / "baselines"):
        path = folder / entry["file"]
        if path.exists():
            with np.load(path) as stored:
                return dict(stored)
    raise FileNotFoundError(entry["file"])


def normal(name: str, shape) -> np.ndarray:
    return _generator(name).standard_normal(tuple(shape), dtype=np.float32)


def make_input(spec: dict) -> torch.Tensor:
    """A uniform input by name, then times and plus the two numbers of ``affine``."""
    x = _generator(spec["name"]).random(tuple(spec["shape"]), dtype=np.float32)
    if spec.get("affine"):
        times, plus = spec["affine"]
        x = x * np.float32(times) + np.float32(plus)
    return torch.from_numpy(x)


def make_weights(shapes: dict[str, tuple], gain: float = 1.0, rules=(), prefix: str = "") -> dict[str, torch.Tensor]:
    """A state dict by official names and shapes; kept buffers are left out."""
    made = {}
    for name, shape in shapes.items():
        if name.rsplit(".", 1)[-1] in KEPT_BUFFERS:
            continue
        z = normal(prefix + name, shape)
        if len(shape) <= 1:
            norm = re.search(r"(^|\.)[A-Za-z0-9_]*(norm|bn)[A-Za-z0-9_]*\.(\d+\.)?weight$", name)
            value = 1.0 + 0.02 * z if norm else 0.02 * z
        else:
            factor = float(gain)
            for pattern, times in rules:
                if re.search(pattern, name):
                    factor *= float(times)
            value = z * np.float32(factor / np.sqrt(int(np.prod(shape[1:]))))
        made[name] = torch.from_numpy(np.asarray(value, dtype=np.float32))
    return made


def fill(module: torch.nn.Module, entry: dict) -> torch.nn.Module:
    """Fill a module whose own names are the official ones with the entry's weights."""
    missing, unexpected = module.load_state_dict(official_weights(module, entry), strict=False)
    assert not unexpected
    assert all(name.rsplit(".", 1)[-1] in KEPT_BUFFERS for name in missing), missing
    return module.eval()


def official_weights(module: torch.nn.Module, entry: dict, official=lambda state: state) -> dict[str, torch.Tensor]:
    """The entry's weights under their official names; `official` turns a state dict of ours into one of those."""
    init = entry.get("init") or {}
    ours = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
    shapes = {name: tuple(value.shape) for name, value in official(ours).items()}
    return make_weights(shapes, init.get("gain", 1.0), init.get("rules", ()), init.get("prefix", ""))


def check(entry: dict, key: str, output: torch.Tensor) -> float:
    """Compare an output with its stored part, and the whole of it in its statistics. Returns the largest difference."""
    spec = entry["outputs"][key]
    assert list(output.shape) == spec["shape"]
    got = output.detach().double().numpy()
    stored = arrays(entry)[key].astype(np.float64)
    stride = re.fullmatch(r"\[\.\.\., ::(\d+), ::\d+\]", spec.get("stored", ":"))
    sampled = got[..., :: int(stride[1]), :: int(stride[1])] if stride else got
    difference = float(np.abs(sampled - stored).max())
    assert difference <= spec["atol"], f"{entry['name']}.{key}: {difference:.3g} > {spec['atol']:.3g}"
    assert abs(got.mean() - spec["mean"]) <= spec["atol"]
    assert abs(got.std(ddof=1) - spec["std"]) <= spec["atol"]
    return difference


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
