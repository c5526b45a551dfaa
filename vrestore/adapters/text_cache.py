"""Encoded prompts, kept in memory and, where a folder is given, on disk."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vrestore.disk import why_unwritten, write_whole
from vrestore.errors import ConfigError

FEATURES = "features"


class PromptCache:
    """Features by text and by what made them.

    Args:
        folder: where they are kept between runs, a file each; None keeps them in memory alone.
        most: how many are kept in memory; those used longest ago go first.
    """

    def __init__(self, folder: str | os.PathLike | None = None, most: int = 256):
        self.folder = Path(folder).expanduser() if folder is not None else None
        self.most = most
        self._held: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, text: str, maker: str) -> Tensor | None:
        """The features (L, D) of a text on the CPU, or None. A damaged file counts as none."""
        key = _key(text, maker)
        if key not in self._held and self.folder is not None and (self.folder / f"{key}.safetensors").is_file():
            try:
                self._hold(key, load_file(self.folder / f"{key}.safetensors")[FEATURES])
            except (SafetensorError, OSError, KeyError):
                return None
        if key in self._held:
            self._held.move_to_end(key)
        return self._held.get(key)

    def put(self, text: str, maker: str, features: Tensor) -> None:
        """Keep the features (L, D) of a text."""
        key = _key(text, maker)
        features = features.detach().cpu().contiguous().clone()
        self._hold(key, features)
        if self.folder is not None:
            content = save({FEATURES: features}, metadata={"text": text, "maker": maker})
            file = self.folder / f"{key}.safetensors"
            try:
                write_whole(file, content)
            except OSError as error:
                told = why_unwritten(error, file, len(content))
                raise ConfigError(f"the cache of prompts cannot be written: {told} (cache_folder)") from error

    def _hold(self, key: str, features: Tensor) -> None:
        self._held[key] = features
        while len(self._held) > self.most:
            self._held.popitem(last=False)


def _key(text: str, maker: str) -> str:
    return hashlib.sha256(f"{maker}\n{text}".encode()).hexdigest()
