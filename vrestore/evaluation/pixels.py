"""What the pixel metrics share: check a pair, round to 8 bit, convert the colour, crop the border."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vrestore.errors import ConfigError, EvaluationError, NotMeasuredError
from vrestore.evaluation.colour import rgb_to_y

COLOURS = ("RGB", "Y")


def check_clip(frames_TCHW: Tensor, what: str = "the output") -> None:
    """Refuse anything but finite RGB frames (T, 3, H, W).

    Raises:
        EvaluationError: says what is wrong with it.
    """
    shape = tuple(frames_TCHW.shape)
    if len(shape) != 4 or shape[1] != 3 or 0 in shape:
        raise EvaluationError(f"{what} must be frames (T, 3, H, W), got the shape {shape}")
    if not frames_TCHW.is_floating_point():
        raise EvaluationError(f"{what} must be floating point in [0, 1], got {frames_TCHW.dtype}")
    if not torch.isfinite(frames_TCHW.sum()):  # one pass over memory; frame by frame only if something is wrong
        bad = [t for t, frame in enumerate(frames_TCHW) if not torch.isfinite(frame).all()]
        raise EvaluationError(f"{what} holds values that are not numbers (NaN or infinite) in frame(s) {bad[:5]}")


def check_pair(pred_TCHW: Tensor, hq_TCHW: Tensor | None, metric: str) -> Tensor:
    """The ground truth, if output and ground truth are frames of one size and one count.

    Nothing is ever cropped, padded, resized or truncated to fit.

    Raises:
        NotMeasuredError: there is no ground truth.
        EvaluationError: size or frame count differ; both are named.
    """
    if hq_TCHW is None:
        raise NotMeasuredError(f"{metric} compares with a ground truth, and this clip has none")
    check_clip(pred_TCHW)
    check_clip(hq_TCHW, "the ground truth")
    if len(pred_TCHW) != len(hq_TCHW):
        raise EvaluationError(f"the output has {len(pred_TCHW)} frame(s), its ground truth {len(hq_TCHW)}")
    if pred_TCHW.shape != hq_TCHW.shape:
        (h, w), (gt_h, gt_w) = pred_TCHW.shape[-2:], hq_TCHW.shape[-2:]
        raise EvaluationError(f"the output is {w}x{h} pixels (width x height), its ground truth {gt_w}x{gt_h}")
    return hq_TCHW


def check_options(metric: str, convert_to: str, crop_border: int) -> None:
    """Refuse an unknown colour or a crop that is not a whole number of pixels.

    Raises:
        ConfigError: names the metric, the argument and what is allowed.
    """
    if convert_to not in COLOURS:
        raise ConfigError(f"{metric}: convert_to must be one of {', '.join(COLOURS)}, got {convert_to!r}")
    if not isinstance(crop_border, int) or isinstance(crop_border, bool) or crop_border < 0:
        raise ConfigError(f"{metric}: crop_border must be a whole number of pixels >= 0, got {crop_border!r}")


def levels(frame_CHW: Tensor, convert_to: str, crop_border: int, round_to_uint8: bool) -> Tensor:
    """One frame as float64 code values 0..255 on the CPU, in the colour and the crop that a protocol asks for.

    Args:
        frame_CHW: (3, H, W), RGB in [0, 1].
        convert_to: `RGB`, or `Y` of BT.601 (of the rounded RGB; the luma itself is not rounded).
        crop_border: pixels left out on every side.
        round_to_uint8: clamp and round to the 256 levels that a file of 8 bit holds.

    Raises:
        NotMeasuredError: nothing is left after the crop.
    """
    frame = frame_CHW.detach().cpu().float()
    frame = (frame.clamp(0, 1) * 255).round().double() if round_to_uint8 else frame.double() * 255
    if convert_to == "Y":
        # Luma passes through float32, as in the official code: where it falls half-way between two levels, the last
        # bit decides to which it is rounded, and NIQE moves by up to 0.01 with a single pixel.
        frame = (rgb_to_y((frame.float() / 255).double()).float() * 255).double()
    if crop_border:
        if min(frame.shape[-2:]) <= 2 * crop_border:
            raise NotMeasuredError(
                f"a border of {crop_border} pixels leaves nothing of a frame of {frame.shape[-1]}x{frame.shape[-2]}"
            )
        frame = frame[:, crop_border:-crop_border, crop_border:-crop_border]
    return frame


def level_pairs(
    pred_TCHW: Tensor, hq_TCHW: Tensor, convert_to: str, crop_border: int, round_to_uint8: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of frames through `levels`, one at a time: memory holds one pair in float64, however long the clip."""
    for pred_CHW, hq_CHW in zip(pred_TCHW, hq_TCHW, strict=True):
        yield (
            levels(pred_CHW, convert_to, crop_border, round_to_uint8),
            levels(hq_CHW, convert_to, crop_border, round_to_uint8),
        )


def score_name(metric: str, convert_to: str, crop_border: int, round_to_uint8: bool = True) -> str:
    """The name of a column: `PSNR-Y`, with whatever differs from the usual protocol: `PSNR-RGB-crop8-float`."""
    crop = f"-crop{crop_border}" if crop_border else ""
    return f"{metric}-{convert_to}{crop}{'' if round_to_uint8 else '-float'}"
