"""Clean clip -> degraded clip, seeded and recorded (DEGRADATIONS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrestore._lazy import lazy_exports

if TYPE_CHECKING:
    from vrestore.degradations.base import Degradation, Identity
    from vrestore.degradations.bicubic_down import BicubicDown
    from vrestore.degradations.blur import RandomBlur
    from vrestore.degradations.blur_down import BlurDown
    from vrestore.degradations.compose import Chance, Compose, Shuffle
    from vrestore.degradations.film_grain import FilmGrain
    from vrestore.degradations.flicker import ColourDrift, Flicker
    from vrestore.degradations.frame_drop import FrameDrop
    from vrestore.degradations.interlace import Interlace
    from vrestore.degradations.jpeg import JPEGCompression
    from vrestore.degradations.noise import RandomNoise
    from vrestore.degradations.quantise import Quantise
    from vrestore.degradations.random_resize import RandomResize, ResizeTo
    from vrestore.degradations.resize import imresize
    from vrestore.degradations.space_time import SpaceTimeDown
    from vrestore.degradations.unsharp import UnsharpMask
    from vrestore.degradations.video_codec import VideoCompression

HOMES = {
    "Degradation": "base",
    "Identity": "base",
    "BicubicDown": "bicubic_down",
    "RandomBlur": "blur",
    "BlurDown": "blur_down",
    "Chance": "compose",
    "Compose": "compose",
    "Shuffle": "compose",
    "FilmGrain": "film_grain",
    "ColourDrift": "flicker",
    "Flicker": "flicker",
    "FrameDrop": "frame_drop",
    "Interlace": "interlace",
    "JPEGCompression": "jpeg",
    "RandomNoise": "noise",
    "Quantise": "quantise",
    "RandomResize": "random_resize",
    "ResizeTo": "random_resize",
    "imresize": "resize",
    "SpaceTimeDown": "space_time",
    "UnsharpMask": "unsharp",
    "VideoCompression": "video_codec",
}

__all__ = [
    "BicubicDown",
    "BlurDown",
    "Chance",
    "ColourDrift",
    "Compose",
    "Degradation",
    "FilmGrain",
    "Flicker",
    "FrameDrop",
    "Identity",
    "Interlace",
    "JPEGCompression",
    "Quantise",
    "RandomBlur",
    "RandomNoise",
    "RandomResize",
    "ResizeTo",
    "Shuffle",
    "SpaceTimeDown",
    "UnsharpMask",
    "VideoCompression",
    "imresize",
]

__getattr__ = lazy_exports(__name__, HOMES)
