"""Choice of the model for `--model auto`: by scale, content, device, quality and the weights that can be had."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import yaml

from vrestore.checkpoints.download import is_offline
from vrestore.checkpoints.index import zoo
from vrestore.checkpoints.sources import is_downloadable, is_local
from vrestore.config import carried_folder
from vrestore.errors import RequestError

AUTO = "auto"
CONTENTS = ("real", "animation")
QUALITIES = ("fast", "balanced", "best")
MODEL_SCALE = 4.0  # of every candidate
PROBE_CHANNELS, PROBE_PX, PROBE_RUNS = 64, 96, 5


@dataclass(frozen=True)
class Candidate:
    """A model that `auto` may choose.

    Attributes:
        model: name in the model zoo.
        mflop_per_px: floating-point operations per input pixel, in millions.
    """

    model: str
    mflop_per_px: float

    def seconds(self, pixels: int, flops_per_s: float) -> float:
        """Predicted time for that many input pixels (frames x height x width)."""
        return self.mflop_per_px * 1e6 * pixels / flops_per_s


@dataclass(frozen=True)
class Choice:
    """The chosen model, and why.

    Attributes:
        model: name in the model zoo.
        reason: why it was chosen.
        seconds: predicted time for the clip.
        alternatives: (name, predicted seconds, remark) of the other candidates.
    """

    model: str
    reason: str
    seconds: float
    alternatives: tuple[tuple[str, float, str], ...] = ()

    def __str__(self) -> str:
        others = "; ".join(
            f"{name} {format_duration(seconds)}{f' ({remark})' if remark else ''}"
            for name, seconds, remark in self.alternatives
        )
        return f"model {self.model}: {self.reason}; about {format_duration(self.seconds)}" + (
            f" (alternatives: {others})" if others else ""
        )


def choose_model(
    *,
    frames: int,
    height: int,
    width: int,
    scale: float,
    device: str | torch.device,
    content: str = "real",
    quality: str = "balanced",
    offline: bool = False,
    flops_per_s: float | None = None,
    available: Callable[[str, bool], str | None] | None = None,
) -> Choice:
    """Choose the model for a clip.

    Args:
        frames, height, width: of the clip.
        scale: requested factor of height and width, in (0, 4].
        device: where the model will run.
        content: ``real`` for camera footage, ``animation`` for drawn pictures.
        quality: ``fast``, ``balanced`` or ``best``. ``balanced`` is the fast end on a CPU and the best one elsewhere.
        offline: choose only models whose weights are on this machine.
        flops_per_s: speed of the device; None measures it.
        available: ``available(model, offline) -> None`` if its weights can be had, else the reason; the default asks
            the model zoo.

    Raises:
        RequestError: an unknown content or quality, or no available model serves the request.
    """
    if content not in CONTENTS:
        raise RequestError(f"content must be one of {', '.join(CONTENTS)}, got {content!r}")
    if quality not in QUALITIES:
        raise RequestError(f"quality must be one of {', '.join(QUALITIES)}, got {quality!r}")
    if not 0 < scale <= MODEL_SCALE:
        raise RequestError(
            f"no model of --model auto serves scale {scale:g}: they serve scales up to {MODEL_SCALE:g}; "
            f"use --model bicubic, or restore twice"
        )
    device = torch.device(device)
    candidates = read_candidates()[content]
    fallback = [c for c in read_candidates()["real"] if c not in candidates]  # serves any content, if less well
    best = quality == "best" or (quality == "balanced" and device.type != "cpu")
    order = [*(reversed(candidates) if best else candidates), *fallback]
    speed = flops_per_s or measure_flops_per_s(device)
    pixels = frames * height * width
    check = available or weights_available
    reasons = {c.model: check(c.model, offline) for c in order}
    chosen = next((c for c in order if reasons[c.model] is None), None)
    if chosen is None:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise RequestError(f"no model of --model auto is available ({listed}); use --model bicubic or --model FILE")
    where = "a CPU" if device.type == "cpu" else "a GPU"
    reason = f"{quality} quality for {content} content on {where}" + (", offline" if offline else "")
    skipped = [c.model for c in order[: order.index(chosen)]]
    if skipped:
        reason += f"; {skipped[0]} is not available ({reasons[skipped[0]]})"
    others = tuple((c.model, c.seconds(pixels, speed), reasons[c.model] or "") for c in candidates if c is not chosen)
    return Choice(chosen.model, reason, chosen.seconds(pixels, speed), others)


@cache
def read_candidates() -> Mapping[str, Sequence[Candidate]]:
    """Candidates per content, from fast to best (model_zoo/auto.yml)."""
    data: Any = yaml.safe_load((carried_folder("model_zoo") / "auto.yml").read_text(encoding="utf-8"))
    return {content: tuple(Candidate(**row) for row in data[content]) for content in CONTENTS}


def weights_available(model: str, offline: bool) -> str | None:
    """None if the weights of a model of the zoo can be had, else the reason why not."""
    entry = zoo().get(model)
    if entry is None or entry.weights is None:
        return "not in the model zoo"
    if is_local(entry.weights):
        return None
    if not is_downloadable(entry.weights):
        return "its weights cannot be downloaded"
    return "its weights are not on this machine" if offline or is_offline() else None


def measure_flops_per_s(device: torch.device) -> float:
    """Rate of a 3x3 convolution with 64 channels in fp32, in operations per second; takes about 0.1 s."""
    weight = torch.randn(PROBE_CHANNELS, PROBE_CHANNELS, 3, 3, device=device)
    x = torch.randn(1, PROBE_CHANNELS, PROBE_PX, PROBE_PX, device=device)
    with torch.no_grad():
        torch.nn.functional.conv2d(x, weight, padding=1).sum().item()
        start = time.perf_counter()
        for _ in range(PROBE_RUNS):
            y = torch.nn.functional.conv2d(x, weight, padding=1)
        y.sum().item()  # waits for the device
    return PROBE_RUNS * 2 * 9 * PROBE_CHANNELS**2 * PROBE_PX**2 / (time.perf_counter() - start)


def format_duration(seconds: float) -> str:
    """Such as ``12 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
