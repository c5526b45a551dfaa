"""The contract of a text encoder: what a restorer asks for prompts; and one that needs no weights."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from vrestore.errors import ConfigError, RequestError
from vrestore.registry import ADAPTERS


class TextEncoder(ABC):
    """Prompts to what a backbone attends to. It is no module: its weights are fixed and stay out of checkpoints.

    Args:
        prefix, suffix: put before and behind every positive prompt as they are, without a space.
        negative_prompt: what the result should not be, where a request says nothing.

    Attributes:
        context_dim: channels of the features.
        length: tokens of a text.
    """

    context_dim: int
    length: int

    def __init__(self, prefix: str = "", suffix: str = "", negative_prompt: str = ""):
        for name, value in (("prefix", prefix), ("suffix", suffix), ("negative_prompt", negative_prompt)):
            if not isinstance(value, str):
                raise ConfigError(f"{name} must be text; got {type(value).__name__}: {value!r}")
        self.prefix, self.suffix, self.negative_prompt = prefix, suffix, negative_prompt

    @abstractmethod
    def encode(self, texts: Sequence[str], device: torch.device | str | None = None) -> Tensor:
        """Features (B, length, context_dim), float32, of texts as they are.

        Raises:
            RequestError: a text is no string.
        """
        raise NotImplementedError

    def encode_prompt(self, prompt: str | Sequence[str], device: torch.device | str | None = None) -> Tensor:
        """Features (B, length, context_dim) of what the result should be; prefix and suffix are added."""
        return self.encode([self.prefix + text + self.suffix for text in as_texts(prompt)], device)

    def encode_negative(
        self, prompt: str | Sequence[str] | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """Features of what the result should not be; None is `negative_prompt`."""
        return self.encode(as_texts(self.negative_prompt if prompt is None else prompt), device)


@ADAPTERS.register_module()
class EmptyText(TextEncoder):
    """Every prompt is zeros: for models that were trained so, and to run without a text tower.

    Args:
        context_dim: channels that the backbone attends to.
        length: tokens; with zeros the number changes nothing, so one is enough.
    """

    def __init__(self, context_dim: int = 1024, length: int = 1):
        super().__init__()
        if context_dim < 1 or length < 1:
            raise ConfigError(f"EmptyText needs context_dim >= 1 and length >= 1; got {context_dim} and {length}")
        self.context_dim, self.length = context_dim, length

    def encode(self, texts: Sequence[str], device: torch.device | str | None = None) -> Tensor:
        """Zeros (B, length, context_dim); warns of a text that is not empty, for it changes nothing."""
        texts = as_texts(texts)
        ignored = next((text for text in texts if text.strip()), None)
        if ignored is not None:
            warnings.warn(
                f"the prompt {ignored!r} is ignored: this model has no text encoder (EmptyText)", stacklevel=3
            )
        return torch.zeros(len(texts), self.length, self.context_dim, device=device)


def as_texts(texts: str | Sequence[str]) -> list[str]:
    """One text or several as a list.

    Raises:
        RequestError: there is none, or one is no string.
    """
    listed = [texts] if isinstance(texts, str) else texts
    if not isinstance(listed, (list, tuple)) or not listed:
        raise RequestError(f"a prompt must be text, or a list of texts; got {type(texts).__name__}: {texts!r}")
    for text in listed:
        if not isinstance(text, str):
            raise RequestError(f"a prompt must be text; got {type(text).__name__}: {text!r}")
    return list(listed)
