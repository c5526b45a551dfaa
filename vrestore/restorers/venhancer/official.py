"""What the official releases do around the network, quirks included: sizes, borders, random draws, 8 bit.

``v1`` is the release of 2024-07-29, ``v2`` that of 2024-09-16.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vrestore.diffusion import BrownianNoise, NoiseSampler, draw_seed
from vrestore.errors import RequestError
from vrestore.restorers.venhancer.canvas import Canvas

RELEASES = ("v1", "v2")
LEAST_HEIGHT, LEAST_WIDTH = 720, 1280
SHORT_SIDE = 1080
V2_DOWNSCALE = 8  # told to the network whatever the real factor


def resolve_up_scale(height: int, up_scale: float) -> float:
    """The factor of release v1: raised where the result would have fewer than 720 rows, however wide it is."""
    if height * up_scale < LEAST_HEIGHT:
        up_scale *= LEAST_HEIGHT / (height * up_scale)
    return up_scale


def target_size_v1(height: int, width: int, up_scale: float) -> tuple[int, int]:
    """(height, width) in pixels; binary fractions cost some source heights a row (719)."""
    zoom = resolve_up_scale(height, up_scale)
    return math.floor(height * zoom), math.floor(width * zoom)


def target_size_v2(height: int, width: int) -> tuple[int, int]:
    """(height, width) with a short side of 1080 pixels; the other may come out odd."""
    short = min(height, width)
    return int(height * SHORT_SIDE / short), int(width * SHORT_SIDE / short)


def pad_to_fit(height: int, width: int) -> tuple[int, int, int, int]:
    """The white border (left, right, top, bottom): never below 720 x 1280, and a whole step too much where a larger
    size fits already."""
    if height < LEAST_HEIGHT:
        top = (LEAST_HEIGHT - height) // 2
        bottom = LEAST_HEIGHT - height - top
    else:
        top = 0
        bottom = 0 if height == LEAST_HEIGHT else (height + 48) // 64 * 64 + 64 - 48 - height
    if width < LEAST_WIDTH:
        left = (LEAST_WIDTH - width) // 2
        right = LEAST_WIDTH - width - left
    else:
        left = 0
        right = 0 if width == LEAST_WIDTH else width // 64 * 64 + 64 - width
    return left, right, top, bottom


def official_canvas(
    release: str, height: int, width: int, up_scale: float, size: tuple[int, int] | None
) -> tuple[Canvas, float]:
    """The canvas of a release, and the downscale factor that it tells the network.

    Args:
        release: ``v1`` or ``v2``.
        height, width: of the source, in pixels.
        up_scale: of the request; v2 does not use it.
        size: target (height, width) of the request, which v1 does not know.

    Raises:
        RequestError: a target size for v1.
    """
    if release == "v1":
        if size is not None:
            raise RequestError(
                f"with parity=True release v1 takes a scale, not a size (got {size}): give scale, or leave parity off"
            )
        target = target_size_v1(height, width, up_scale)
        zoom = resolve_up_scale(height, up_scale)
        return Canvas(*target, pad_to_fit(*target), white=True, zoom=zoom), int(zoom)
    target = size or target_size_v2(height, width)
    return Canvas(*target, pad_to_fit(*target), white=True), V2_DOWNSCALE


class OfficialDraws:
    """Random numbers in the official order: posterior, key frames, start, seed of the Brownian tree.

    The releases seed torch's global generators; on a GPU there are two, and v1 draws the posterior on the CPU.

    Args:
        release: ``v1`` or ``v2``.
        seed: 0 to 2**63 - 1 (official: 666).
        device: of the latents.
    """

    def __init__(self, release: str, seed: int, device: torch.device):
        self.cpu = torch.Generator().manual_seed(seed)
        self.own = self.cpu if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
        self.posterior = self.cpu if release == "v1" else self.own

    def start(self, latents: Tensor) -> Tensor:
        """Unit normal noise of the latents' shape and order in memory."""
        return torch.empty_like(latents).normal_(generator=self.own)

    key_frames = start

    def for_sampler(self, x: Tensor, sigmas: Tensor) -> NoiseSampler:
        return BrownianNoise(x, sigmas, draw_seed(self.cpu))


def truncate_to_8bit(frames: Tensor) -> Tensor:
    """Frames in [0, 1] as the releases save them: cut, not rounded, to the 256 levels of 8 bit."""
    return torch.floor(frames.clamp(0, 1) * 255) / 255
