"""Encoded frames kept on disk between the epochs of a training and between runs."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import torch.nn as nn
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch import uint8 as byte

from vrestore.disk import size_text, why_unwritten, write_whole
from vrestore.errors import ConfigError
from vrestore.layers.fingerprint import fingerprint

GIB = 2**30


class LatentCache:
    """Posteriors of single frames, by the frame's bytes and by what encodes it.

    It pays where the same frames come again: with whole frames or centre crops, and clean clips as they are; random
    crops hardly ever meet twice. What it gives is what encoding gave, bit for bit; a damaged file counts as none.

    Args:
        folder: a file a frame; several processes may share it.
        most_bytes: size from which on nothing is added.

    Raises:
        ConfigError: the folder cannot be written to, or an impossible size.
    """

    def __init__(self, folder: str | os.PathLike, most_bytes: float = 50 * GIB):
        if not most_bytes > 0:
            raise ConfigError(f"the latent cache's most_bytes must be above 0, got {most_bytes!r}")
        self.folder, self.most_bytes = Path(folder).expanduser(), most_bytes
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the latent cache {self.folder} cannot be made: {error.strerror}") from error
        self._held_bytes = sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))
        self._told_full = False
        self._maker: str | None = None

    def key(self, frame: Tensor, autoencoder: nn.Module) -> str:
        """Of a frame (1, C, H, W), and of the weights and settings that encode it; those must not change any more."""
        if self._maker is None:
            own = vars(autoencoder).items()
            settings = {k: v for k, v in own if isinstance(v, (int, float, str)) and k != "training"}
            buffers = {k: v.flatten().tolist() for k, v in autoencoder.named_buffers() if v.numel() < 10_000}
            tiling = getattr(autoencoder, "encode_tiling", None)
            told = f"{type(autoencoder).__name__} {sorted(settings.items())} {sorted(buffers.items())} {tiling}"
            self._maker = hashlib.sha256(f"{told} {fingerprint(autoencoder)}".encode()).hexdigest()
        digest = hashlib.sha256(f"{self._maker} {frame.dtype} {tuple(frame.shape)}".encode())
        digest.update(frame.detach().cpu().contiguous().flatten().view(byte).numpy().tobytes())
        return digest.hexdigest()

    def get(self, key: str) -> tuple[Tensor, Tensor | None] | None:
        """Mean and log variance on the CPU, or None."""
        file = self.folder / f"{key}.safetensors"
        try:
            kept = load_file(file) if file.is_file() else {}
        except (SafetensorError, OSError):
            return None
        return (kept["mean"], kept.get("log_variance")) if "mean" in kept else None

    def put(self, key: str, mean: Tensor, log_variance: Tensor | None) -> None:
        """Keep the posterior of a frame, where there is room.

        Raises:
            ConfigError: it cannot be written; says why.
        """
        parts = {"mean": mean} if log_variance is None else {"mean": mean, "log_variance": log_variance}
        content = save({name: value.detach().cpu().contiguous() for name, value in parts.items()})
        if self._held_bytes + len(content) > self.most_bytes:
            if not self._told_full:
                self._told_full = True
                most = size_text(int(self.most_bytes))
                warnings.warn(f"the latent cache {self.folder} holds {most}: further frames are not kept", stacklevel=2)
            return
        file = self.folder / f"{key}.safetensors"
        try:
            write_whole(file, content)
        except OSError as error:
            told = why_unwritten(error, file, len(content))
            raise ConfigError(f"the latent cache cannot be written: {told} (training.latent_cache)") from error
        self._held_bytes += len(content)
