"""Sample transforms that vary a training clip (TRANSFORMS): crop, flip, transpose, reverse and mirror in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrestore import degradations
from vrestore.data.sizes import two_sides
from vrestore.errors import ConfigError, DataError
from vrestore.registry import TRANSFORMS

Sample = dict[str, Any]


class ClipTransform:
    """Changes a sample; every draw comes from the generator handed in.

    A subclass implements `transform(sample, rng) -> sample`; `sample['hq']` holds the clean clip (T, C, H, W). What was
    drawn is noted in `sample['source']`, plain data that ends up in the sample's record.
    """

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        raise NotImplementedError(f"{type(self).__name__} implements no transform(sample, rng)")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return self.transform(sample, rng)


@TRANSFORMS.register_module()
class RandomCrop(ClipTransform):
    """Cuts one window of `size` at a uniformly drawn place, the same for all frames.

    Args:
        size: side in pixels, or (height, width).

    Raises:
        ConfigError: a side below one pixel.
        DataError: a clip smaller than the window.
    """

    def __init__(self, size: int | tuple[int, int]):
        self.size = two_sides(size, "RandomCrop (TRANSFORMS): size")

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        (height, width), (h, w) = sample["hq"].shape[-2:], self.size
        top = int(rng.integers(max(height - h, 0) + 1))
        left = int(rng.integers(max(width - w, 0) + 1))
        sample["hq"] = self._cut(sample, top, left)
        return _note(sample, top=top, left=left)

    def _cut(self, sample: Sample, top: int, left: int) -> Tensor:
        (height, width), (h, w) = sample["hq"].shape[-2:], self.size
        if height < h or width < w:
            raise DataError(f"cannot cut {w}x{h} from {sample.get('clip', 'a clip')} of {width}x{height} pixels")
        return sample["hq"][..., top : top + h, left : left + w]


@TRANSFORMS.register_module()
class CenterCrop(RandomCrop):
    """Cuts the middle of the frames."""

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        height, width = sample["hq"].shape[-2:]
        top, left = (height - self.size[0]) // 2, (width - self.size[1]) // 2
        sample["hq"] = self._cut(sample, top, left)
        return _note(sample, top=top, left=left)


class _Coin(ClipTransform):
    """A transform that happens with the probability `prob`."""

    def __init__(self, prob: float = 0.5):
        if not 0 <= prob <= 1:
            raise ConfigError(f"{type(self).__name__} (TRANSFORMS): prob must be from 0 to 1, got {prob!r}")
        self.prob = prob

    def _toss(self, rng: np.random.Generator) -> bool:
        return bool(rng.random() < self.prob)


@TRANSFORMS.register_module()
class RandomFlip(_Coin):
    """Mirrors left-right and, on its own coin, top-bottom.

    Args:
        prob: probability of each direction.
        vertical: whether top-bottom happens at all.
    """

    def __init__(self, prob: float = 0.5, vertical: bool = True):
        super().__init__(prob)
        self.vertical = vertical

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        horizontal, vertical = self._toss(rng), self._toss(rng) and self.vertical
        axes = [axis for axis, on in ((-1, horizontal), (-2, vertical)) if on]
        if axes:
            sample["hq"] = sample["hq"].flip(axes)
        return _note(sample, flip_horizontal=horizontal, flip_vertical=vertical)


@TRANSFORMS.register_module()
class RandomTranspose(_Coin):
    """Swaps height and width; with the flips, all eight orientations of the square are reached."""

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        transposed = self._toss(rng)
        if transposed:
            sample["hq"] = sample["hq"].transpose(-1, -2)
        return _note(sample, transposed=transposed)


@TRANSFORMS.register_module()
class UnsharpMask(ClipTransform):
    """Sharpens the clean clip, as the real-world recipes do with their targets; goes among a dataset's `transforms`.

    Args:
        keep: keep the clip as it was as the sample's ``hq_unsharpened``, which a discriminator sees in its stead (see
            `vrestore.restorers.AdversarialRestorer`); transforms that cut or turn come before.
        settings: as the degradation of the same name takes them.
    """

    def __init__(self, keep: bool = False, **settings: Any):
        self.keep = keep
        self._sharpen = degradations.UnsharpMask(**settings)

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.keep:
            sample["hq_unsharpened"] = sample["hq"]
        sample["hq"], record = self._sharpen(sample["hq"], rng)
        return _note(sample, sharpened=record["weight"])


@TRANSFORMS.register_module()
class RandomReverse(_Coin):
    """Plays the clip backwards."""

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        reverse = self._toss(rng)
        if reverse:
            sample["hq"] = sample["hq"].flip(0)
        return _note(sample, reversed=reverse)


@TRANSFORMS.register_module()
class MirrorExtend(ClipTransform):
    """Appends the clip in reverse: T frames become 2T, as recurrent networks are trained on septuplets."""

    def transform(self, sample: Sample, rng: np.random.Generator) -> Sample:
        for name in ("hq", "hq_unsharpened"):
            if name in sample:
                sample[name] = torch.cat([sample[name], sample[name].flip(0)])
        return _note(sample, mirrored=True)


def _note(sample: Sample, **drawn: Any) -> Sample:
    sample.setdefault("source", {}).update(drawn)
    return sample
