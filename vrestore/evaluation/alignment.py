"""Alignment guard: does the output sit where its ground truth does, in space and in time?

A shift of half a pixel costs several dB and hides behind every full-reference score, so it is measured and recorded
beside them. Nothing is ever shifted back.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vrestore.evaluation.colour import rgb_to_y

WARN_SHIFT_PX = 0.25
LARGEST_FRAME_OFFSET = 2
# Standard deviation of the correlation peak: low frequencies decide, where a blurry output and its ground truth agree.
PEAK_SIGMA_PX = 2.5
# A neighbouring frame must fit better by this factor before the guard speaks: a static scene fits everywhere.
CLEARLY_BETTER = 0.8


@dataclass(frozen=True)
class Alignment:
    """Where the output lies relative to its ground truth.

    Attributes:
        right_px: how far the output lies to the right of its ground truth, in output pixels.
        down_px: how far it lies below.
        frame_offset: 1 when output frame t shows what the ground truth shows at t + 1, and so on.
        frames: the frames that were looked at.
        warning: one sentence when something is off, else None.
    """

    right_px: float | None
    down_px: float | None
    frame_offset: int
    frames: tuple[int, ...]
    warning: str | None = None

    def as_dict(self) -> dict:
        return asdict(self)


def measure_alignment(pred_TCHW: Tensor, hq_TCHW: Tensor, most_frames: int = 3) -> Alignment:
    """Measure spatial shift and temporal offset on a few frames.

    Args:
        pred_TCHW: output (T, 3, H, W), RGB in [0, 1].
        hq_TCHW: ground truth of the same shape.
        most_frames: how many frames to look at, spread over the clip.
    """
    t = len(pred_TCHW)
    frames = _spread(t, most_frames)
    offset = _frame_offset(pred_TCHW, hq_TCHW, frames)
    pairs = [(f, f + offset) for f in frames if 0 <= f + offset < t]
    shifts = [_shift(_luma(pred_TCHW[f]), _luma(hq_TCHW[g])) for f, g in pairs]
    known = [shift for shift in shifts if shift is not None]
    right, down = (_median([s[i] for s in known]) if known else None for i in (0, 1))
    return Alignment(right, down, offset, tuple(frames), _warning(right, down, offset))


def _warning(right: float | None, down: float | None, offset: int) -> str | None:
    found = []
    if right is not None and down is not None and math.hypot(right, down) > WARN_SHIFT_PX:
        found.append(f"lies {right:+.2f} px right and {down:+.2f} px down of its ground truth")
    if offset:
        found.append(f"runs {abs(offset)} frame(s) {'ahead of' if offset > 0 else 'behind'} it")
    return f"the output {' and '.join(found)}: its full-reference scores are not comparable" if found else None


def _spread(count: int, most: int) -> list[int]:
    """At most `most` frames, evenly spread, away from the ends where there is room."""
    n = min(count, most)
    return [((2 * i + 1) * count) // (2 * n) for i in range(n)]


def _luma(frame_CHW: Tensor) -> Tensor:
    return rgb_to_y(frame_CHW.detach().cpu().double())[0]


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _shift(pred_HW: Tensor, hq_HW: Tensor) -> tuple[float, float] | None:
    """(right, down) in pixels, or None where there is no texture to hold on to.

    The window, which stays in place while the picture moves, pulls a large shift towards zero; so the whole pixels are
    found first, and the rest between the parts that then lie on each other.
    """
    first = _correlate(pred_HW, hq_HW)
    if first is None:
        return None
    right, down = round(first[0]), round(first[1])
    h, w = pred_HW.shape
    if (right, down) == (0, 0) or abs(right) > w // 2 or abs(down) > h // 2:
        return first
    moved = pred_HW[max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)]
    still = hq_HW[max(-down, 0) : h + min(-down, 0), max(-right, 0) : w + min(-right, 0)]
    rest = _correlate(moved, still)
    return first if rest is None else (right + rest[0], down + rest[1])


def _correlate(pred_HW: Tensor, hq_HW: Tensor) -> tuple[float, float] | None:
    """(right, down) by phase correlation, or None without texture.

    The whitened cross spectrum is weighted with a Gaussian, which makes the peak of the correlation a Gaussian of known
    width; a parabola through the logarithm of its neighbours then finds the sub-pixel position.
    """
    h, w = pred_HW.shape
    if min(h, w) < 16:
        return None
    window = torch.hann_window(h, dtype=torch.float64)[:, None] * torch.hann_window(w, dtype=torch.float64)[None]
    pred, hq = ((image - image.mean()) * window for image in (pred_HW, hq_HW))
    if pred.std() < 1e-4 or hq.std() < 1e-4:
        return None
    cross = torch.fft.fft2(pred) * torch.fft.fft2(hq).conj()
    fy, fx = torch.fft.fftfreq(h, dtype=torch.float64)[:, None], torch.fft.fftfreq(w, dtype=torch.float64)[None]
    weight = torch.exp(-2 * (math.pi * PEAK_SIGMA_PX) ** 2 * (fy.square() + fx.square()))
    magnitude = cross.abs()
    peak = torch.fft.ifft2(cross / (magnitude + 1e-6 * magnitude.max()) * weight).real
    y, x = divmod(int(peak.argmax()), w)
    down = y + _vertex(peak[(y - 1) % h, x], peak[y, x], peak[(y + 1) % h, x])
    right = x + _vertex(peak[y, (x - 1) % w], peak[y, x], peak[y, (x + 1) % w])
    return _wrap(right, w), _wrap(down, h)


def _vertex(before: Tensor, at: Tensor, after: Tensor) -> float:
    """Position of the vertex of the parabola through three logarithms, between -0.5 and 0.5."""
    if min(before, at, after) <= 0:
        return 0.0
    a, b, c = (float(v.log()) for v in (before, at, after))
    bend = a - 2 * b + c
    return 0.0 if bend == 0 else max(-0.5, min(0.5, 0.5 * (a - c) / bend))


def _wrap(position: float, length: int) -> float:
    return position - length if position > length / 2 else position


def _frame_offset(pred_TCHW: Tensor, hq_TCHW: Tensor, frames: list[int]) -> int:
    """The offset at which the output fits the ground truth best, 0 unless another one fits clearly better."""
    t = len(pred_TCHW)

    def small(frame_CHW: Tensor) -> Tensor:
        luma = _luma(frame_CHW)
        return F.avg_pool2d(luma[None, None], min(4, *luma.shape))[0, 0]

    truth: dict[int, Tensor] = {}
    errors: dict[int, list[float]] = {k: [] for k in range(-LARGEST_FRAME_OFFSET, LARGEST_FRAME_OFFSET + 1)}
    for f in frames:
        if any(not 0 <= f + k < t for k in errors if t > 2 * LARGEST_FRAME_OFFSET):
            continue  # every offset must be judged on the same frames
        output = small(pred_TCHW[f])
        for k, found in errors.items():
            if 0 <= f + k < t:
                if f + k not in truth:
                    truth[f + k] = small(hq_TCHW[f + k])
                found.append((output - truth[f + k]).square().mean().item())
    means = {k: sum(found) / len(found) for k, found in errors.items() if found and len(found) == len(errors[0])}
    if not means:
        return 0
    best = min(means, key=lambda k: (means[k], abs(k)))
    return best if means[best] < CLEARLY_BETTER * means[0] else 0
