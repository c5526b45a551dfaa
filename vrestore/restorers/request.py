"""Request: what a person asks of a restorer, checked once, at the door."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction

from vrestore.errors import RequestError

STRENGTH_RANGE = (0, 300)
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a restorer. Every field has a default: an empty request means "do what you do by default".

    Attributes:
        scale: spatial scale factor, > 0. Not together with `size`.
        size: target size (height, width) in pixels. Not together with `scale`.
        fps: target frame rate in frames per second; needs `source_fps`. Not together with `temporal_scale`.
        source_fps: frame rate of the frames handed in.
        temporal_scale: multiple of the frame count, > 0.
        strength: noise augmentation of generative restorers, a step from 0 to 300; None is the restorer's default.
        prompt: text for restorers that take one.
        negative_prompt: what to steer away from.
        steps: number of sampling steps, >= 1.
        guidance_scale: classifier-free guidance weight, >= 0.
        sampler: name of a SAMPLERS entry.
        seed: seed of all randomness, 0 to 2**63 - 1.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        parity: reproduce the official release, its quirks included.

    Raises:
        RequestError: a field is out of range; the message names the field, the value and the allowed range.
    """

    scale: float | None = None
    size: tuple[int, int] | None = None
    fps: float | Fraction | None = None
    source_fps: float | Fraction | None = None
    temporal_scale: float | None = None
    strength: int | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    sampler: str | None = None
    seed: int = 0
    precision: str = "fp32"
    parity: bool = False

    def __post_init__(self) -> None:
        for name in ("scale", "fps", "source_fps", "temporal_scale"):
            self._number(name, above=0)
        self._number("guidance_scale", least=0)
        self._whole("strength", *STRENGTH_RANGE)
        self._whole("steps", 1, 1000)
        self._whole("seed", 0, 2**63 - 1)
        for name in ("prompt", "negative_prompt", "sampler"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise RequestError(f"{name} must be text, got {type(value).__name__}: {value!r}")
        if self.precision not in PRECISIONS:
            raise RequestError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.size is not None:
            ok = isinstance(self.size, (tuple, list)) and len(self.size) == 2
            if not ok or not all(isinstance(v, int) and not isinstance(v, bool) and v >= 1 for v in self.size):
                raise RequestError(f"size must be (height, width), two whole numbers >= 1, got {self.size!r}")
            object.__setattr__(self, "size", tuple(self.size))
        if self.scale is not None and self.size is not None:
            raise RequestError(f"give scale or size, not both (got scale={self.scale}, size={self.size})")
        if self.fps is not None and self.temporal_scale is not None:
            raise RequestError(
                f"give fps or temporal_scale, not both (got fps={self.fps}, temporal_scale={self.temporal_scale})"
            )
        if self.fps is not None and self.source_fps is None:
            raise RequestError(f"fps={self.fps} needs source_fps, the frame rate of the frames handed in")

    def _number(self, name: str, above: float | None = None, least: float | None = None) -> None:
        value = getattr(self, name)
        if value is None:
            return
        bound = f"> {above}" if above is not None else f">= {least}"
        number = isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)
        if (
            not number
            or not math.isfinite(value)
            or (above is not None and value <= above)
            or (least is not None and value < least)
        ):
            raise RequestError(f"{name} must be a finite number {bound}, got {value!r}")

    def _whole(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise RequestError(f"{name} must be a whole number from {least} to {most}, got {value!r}")

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]

    def time_factor(self) -> float:
        """The asked multiple of the frame rate; 1 when none was asked."""
        if self.temporal_scale is not None:
            return float(self.temporal_scale)
        if self.fps is not None and self.source_fps is not None:
            return float(self.fps) / float(self.source_fps)
        return 1.0
