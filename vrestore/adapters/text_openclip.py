"""Prompts through OpenCLIP's text tower, as VEnhancer and Stable Diffusion 2 read them."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vrestore.adapters.text import TextEncoder, as_texts
from vrestore.adapters.text_cache import PromptCache
from vrestore.adapters.text_tokenizer import ClipTokenizer
from vrestore.adapters.text_tower import OpenCLIPTextTower
from vrestore.errors import WeightsError
from vrestore.layers.fingerprint import fingerprint
from vrestore.registry import ADAPTERS

# What VEnhancer's release adds to every prompt, and what it turns away from; wording and spaces are its own.
VENHANCER_SUFFIX = (
    "Cinematic, High Contrast, highly detailed, taken using a Canon EOS R camera,   hyper detailed photo - realistic "
    "maximum detail, 32k, Color Grading, ultra HD, extreme meticulous detailing,  skin pore detailing, hyper "
    "sharpness, perfect without deformations."
)
VENHANCER_NEGATIVE = (
    "painting, oil painting, illustration, drawing, art, sketch, oil painting, cartoon, CG Style, 3D render, unreal "
    "engine, blurring, dirty, messy, worst quality, low quality, frames, watermark, signature, jpeg artifacts, "
    "deformed, lowres, over-smooth"
)
SOURCE = "https://huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K/resolve/main/open_clip_pytorch_model.bin"

_numbers = itertools.count()  # tells towers of one run apart; an id() may be given out again


@ADAPTERS.register_module()
class OpenCLIPText(TextEncoder):
    """Tokenizer, text tower and cache. The tower comes from `load_network`, which knows the official file::

        text = OpenCLIPText()
        text.attach(load_network("open_clip_pytorch_model.bin"))
        features = text.encode_prompt("a reef")

    Args:
        tower: a tower or its config; None leaves it to `attach`.
        weights: the file that the tower is to be loaded from, told where it is missing.
        prefix, suffix, negative_prompt: see `TextEncoder`; defaults are those of VEnhancer's release.
        merges: see `ClipTokenizer`.
        cache_folder: where encoded prompts are kept between runs; None keeps them in memory alone.
        weights_sha256: fingerprint of the tower (`fingerprint`) whose prompts in `cache_folder` are good without the
            tower itself; None needs the tower.
    """

    def __init__(
        self,
        tower: OpenCLIPTextTower | Mapping[str, Any] | None = None,
        weights: str | os.PathLike | None = None,
        prefix: str = "",
        suffix: str = VENHANCER_SUFFIX,
        negative_prompt: str = VENHANCER_NEGATIVE,
        merges: str | os.PathLike | None = None,
        cache_folder: str | os.PathLike | None = None,
        weights_sha256: str | None = None,
    ):
        super().__init__(prefix, suffix, negative_prompt)
        self.tokenizer = ClipTokenizer(merges)
        self.cache = PromptCache(cache_folder)
        self.weights = weights
        self.context_dim, self.length = 1024, 77
        self._maker = weights_sha256
        self.tower: OpenCLIPTextTower | None = None
        if tower is not None:
            self.attach(ADAPTERS.build(dict(tower)) if isinstance(tower, Mapping) else tower)

    def attach(self, tower: OpenCLIPTextTower) -> OpenCLIPText:
        """Use a tower, in evaluation mode and without gradients. Prompts of another one are encoded anew.

        Raises:
            WeightsError: it is no text tower.
        """
        if not isinstance(tower, OpenCLIPTextTower):
            raise WeightsError(f"OpenCLIPText needs an OpenCLIPTextTower; got {type(tower).__name__}")
        self.tower = tower.eval().requires_grad_(False)
        self.context_dim, self.length = tower.width, tower.length
        self._maker = None
        return self

    def encode(self, texts: Sequence[str], device: torch.device | str | None = None) -> Tensor:
        """Features (B, 77, 1024), float32, on `device` (None: the CPU); those seen before come from the cache.

        A text of more than 75 tokens is cut, with a warning that says what was lost.

        Raises:
            RequestError: a text is no string.
            WeightsError: there is no tower, and a text is not in the cache.
        """
        return torch.stack([self._encode_one(text) for text in as_texts(texts)]).to(device or "cpu")

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, start, end and padding included; warns of what is cut."""
        tokens, cut = self.tokenizer.tokenize(text, self.length)
        if cut:
            warnings.warn(
                f"the prompt is longer than {self.length - 2} tokens, suffix included; this end of it is cut: {cut!r}",
                stacklevel=2,
            )
        return tokens

    def _encode_one(self, text: str) -> Tensor:
        maker = self._made_by()
        known = self.cache.get(text, maker) if maker else None
        if known is not None:
            return known
        tower = self._need_tower()
        place = tower.token_embedding.weight.device
        with torch.no_grad():
            features = tower(torch.tensor([self.tokens(text)], device=place))[0].float().cpu()
        self.cache.put(text, maker or self._made_by(), features)
        return features

    def _made_by(self) -> str:
        """What the cache knows the tower by: a hash of its weights where files outlive it, else one for this object."""
        if self._maker is None and self.tower is not None:
            on_disk = self.cache.folder is not None
            self._maker = fingerprint(self.tower) if on_disk else f"tower {next(_numbers)}"
        layer = self.tower.layer if self.tower is not None else "penultimate"
        return f"{self._maker} {layer}" if self._maker else ""

    def _need_tower(self) -> OpenCLIPTextTower:
        if self.tower is None:
            place = f"at {self.weights}" if self.weights else "anywhere and give its path as the weights of the text"
            raise WeightsError(
                f"prompts need the weights of the text tower OpenCLIP ViT-H-14, which are not loaded: download {SOURCE}"
                f" (3.9 GB, of which 1.3 GB are used) and put it {place}; or run without text: "
                f"text=dict(type='EmptyText')"
            )
        return self.tower
