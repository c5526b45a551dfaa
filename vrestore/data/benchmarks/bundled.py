"""BundledClips: demonstration footage made of the photographs that scikit-image brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore.data.benchmarks.base import BICUBIC_X4, ClipBenchmark, Pair
from vrestore.data.benchmarks.camera import film, plan_path
from vrestore.data.clips import Clip, some
from vrestore.data.sizes import two_sides
from vrestore.errors import ConfigError, DataError, require
from vrestore.registry import DATASETS

# Photographs inside scikit-image's package, no download; the file's name by the clip's.
PHOTOS = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "galaxies": "hubble_deep_field.jpg",
    "motorcycle": "motorcycle_left.png",
    "rocket": "rocket.jpg",
}
DEFAULT_PHOTOS = ("astronaut", "cat", "coffee", "motorcycle")
FPS = Fraction(24)


@DATASETS.register_module()
class BundledClips(ClipBenchmark):
    """Simulated camera over photographs: footage for a demonstration, not a benchmark that papers know.

    A camera pans, zooms, turns and trembles by fractions of a pixel over a still photograph. Nothing in the scene moves
    by itself, there is no noise, no parallax and no compression, which makes it far easier than real video: its numbers
    compare methods with each other here and say little about real footage. The photographs lie inside scikit-image's
    package (see its `skimage.data` for their sources and licences).

    Args:
        photos: names out of `PHOTOS`.
        n_frames: frames of every clip.
        size: (height, width) of the clean frames in pixels.
        degradation: config that makes the degraded clips.
        name: the benchmark's name in tables.
        seed: seed of the camera's paths and of what the degradation draws.

    Raises:
        ConfigError: an unknown photograph, or frames too large for one.
        MissingDependencyError: scikit-image is not installed.
    """

    def __init__(
        self,
        photos: Sequence[str] = DEFAULT_PHOTOS,
        n_frames: int = 12,
        size: int | tuple[int, int] = (192, 256),
        degradation: Mapping[str, Any] = BICUBIC_X4,
        name: str = "simulated camera over photographs",
        seed: int = 0,
    ):
        unknown = [photo for photo in photos if photo not in PHOTOS]
        if unknown or not photos:
            raise ConfigError(
                f"BundledClips: unknown photographs {some(unknown) or 'none'}; choose of {', '.join(PHOTOS)}"
            )
        if not isinstance(n_frames, int) or n_frames < 1:
            raise ConfigError(f"BundledClips: n_frames must be a whole number >= 1, got {n_frames!r}")
        self._size = two_sides(size, "BundledClips: size")
        self._folder = _photo_folder()
        self._filmed: dict[str, Tensor] = {}
        clips = [Clip(self._folder / PHOTOS[photo], photo, n_frames, *self._size, FPS) for photo in photos]
        super().__init__([Pair(clip.name, hq=clip) for clip in clips], name, degradation, seed=seed)
        for clip in clips:
            self._path(clip)

    def _frames(self, clip: Clip | None) -> Tensor | None:
        if clip is None:
            return None
        if clip.name not in self._filmed:
            self._filmed[clip.name] = film(_photo(clip.path), self._path(clip), self._size)
        return self._filmed[clip.name].float().div_(255)

    def _path(self, clip: Clip):
        height, width = _photo(clip.path).shape[-2:]
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, list(PHOTOS).index(clip.name)]))
        return plan_path((height, width), self._size, clip.n_frames, rng)


def _photo_folder() -> Path:
    package = require("skimage", "demo", "The bundled demonstration footage")
    return Path(package.__file__).parent / "data"


def _photo(path: Path) -> Tensor:
    from PIL import Image

    if not path.is_file():
        raise DataError(f"this scikit-image brings no {path.name} (looked in {path.parent}); install one that does")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
