"""The manifest of a folder of frozen clips: reading it, hashing frames, and which versions made them."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import av
import torch
from torch import Tensor

from vrestore.data.manifest import Layout, read_manifest
from vrestore.version import __version__

FILE_NAME = "manifest.json"
FORMAT = "vrestore-frozen-1"
PACKAGES = ("torch", "numpy", "av", "opencv-python", "opencv-python-headless", "pillow")
LAYOUT = Layout(
    file_name=FILE_NAME,
    format=FORMAT,
    made_by="vrestore freeze",
    keys=("recipe", "seed", "scale", "protocol", "versions", "clips"),
    rows={"clips": ("name", "source", "file", "frames", "height", "width", "record", "sha256", "source_sha256")},
)


def read_frozen(path: str | Path) -> dict[str, Any]:
    """The manifest of a folder of frozen clips, or the file itself.

    Raises:
        DataError: there is none, or it is no whole manifest of a known format.
    """
    return read_manifest(path, LAYOUT)


def frames_sha256(frames_TCHW: Tensor) -> str:
    """SHA-256 of uint8 frames: of their shape `T C H W` as text and of every sample, frame by frame."""
    digest = hashlib.sha256(" ".join(map(str, frames_TCHW.shape)).encode())
    for frame in frames_TCHW:
        digest.update(frame.contiguous().numpy().tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """What the samples of a degraded clip may depend on, beside the recipe."""
    found = {"vrestore": __version__, "python": platform.python_version(), "machine": platform.machine()}
    found["cpu"] = torch.backends.cpu.get_cpu_capability()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found["ffmpeg"] = " ".join(
        f"{name} {'.'.join(map(str, number))}" for name, number in sorted(av.library_versions.items())
    )
    return found


def differing_versions(then: dict[str, str], now: dict[str, str]) -> str:
    """A sentence on what changed between two sets of versions."""
    names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if not names:
        return "the versions are the same as then"
    changed = "; ".join(f"{name} was {then.get(name, 'absent')}, is {now.get(name, 'absent')}" for name in names)
    return f"versions differ: {changed}"
