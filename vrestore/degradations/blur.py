"""RandomBlur: blur by a kernel of a drawn kind, whose parameters walk from frame to frame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from vrestore.degradations.base import Degradation, Record, check_clip
from vrestore.degradations.draws import (
    Range,
    check_flag,
    check_number,
    check_range,
    check_weights,
    choose,
    told,
    walk,
)
from vrestore.degradations.filtering import filter_frames
from vrestore.degradations.kernels import bell_kernels, sinc_kernels
from vrestore.errors import ConfigError
from vrestore.registry import DEGRADATIONS

KINDS = ("iso", "aniso", "generalised_iso", "generalised_aniso", "plateau_iso", "plateau_aniso", "sinc")
# RealBasicVSR's; Real-ESRGAN draws the same ones (a sinc in one case of ten, else these in the same proportions).
KIND_WEIGHTS = {
    **{"iso": 0.405, "aniso": 0.225, "generalised_iso": 0.108, "generalised_aniso": 0.027},
    **{"plateau_iso": 0.108, "plateau_aniso": 0.027, "sinc": 0.1},
}
SMALL_SINC_PX = 13  # smaller sinc kernels cannot hold the wide ripples of a low cut-off


@DEGRADATIONS.register_module()
class RandomBlur(Degradation):
    """Blur as RealBasicVSR (Chan et al., CVPR 2022) and Real-ESRGAN (Wang et al., 2021) draw it.

    The kernel's kind and size are drawn once a clip; the parameters are drawn uniformly for the first frame and walk
    from there by their steps (see `draws.walk`). Defaults are those of RealBasicVSR's first order.

    Args:
        kernel_size: least and most side in pixels, odd.
        kinds: how often each of KINDS is drawn.
        sigma_x, sigma_y: standard deviations in pixels; circular ("iso") kinds use the first alone.
        angle: of elliptic ("aniso") kinds, in radians.
        beta_gaussian, beta_plateau: exponent of the generalised Gaussian and of the plateau kinds.
        omega: cut-off of the sinc kind in radians a pixel; None is (pi/3, pi) for kernels below 13 pixels and (pi/5,
            pi) for larger ones.
        sigma_step, angle_step, beta_gaussian_step, beta_plateau_step, omega_step: largest change between two frames.
        beta_halves: draw an exponent below 1 in half of the cases and above 1 in the other half, as Real-ESRGAN does,
            instead of uniformly.

    Raises:
        ConfigError: an impossible range, an even size, or an unknown kind.
    """

    def __init__(
        self,
        kernel_size: tuple[int, int] = (7, 21),
        kinds: Any = KIND_WEIGHTS,
        sigma_x: Range = (0.2, 3.0),
        sigma_y: Range = (0.2, 3.0),
        angle: Range = (-math.pi, math.pi),
        beta_gaussian: Range = (0.5, 4.0),
        beta_plateau: Range = (1.0, 2.0),
        omega: Range | None = None,
        sigma_step: float = 0.02,
        angle_step: float = 0.31416,
        beta_gaussian_step: float = 0.05,
        beta_plateau_step: float = 0.1,
        omega_step: float = 0.0628,
        beta_halves: bool = False,
    ):
        me = "RandomBlur"
        self.kernel_size = check_range(me, "kernel_size", kernel_size, 1, whole=True)
        if any(side % 2 == 0 for side in self.kernel_size):
            raise ConfigError(f"{me} (DEGRADATIONS): kernel_size must be odd numbers of pixels, got {kernel_size!r}")
        self.kinds = check_weights(me, "kinds", kinds, KINDS)
        self.sigma_x = check_range(me, "sigma_x", sigma_x, 1e-3)
        self.sigma_y = check_range(me, "sigma_y", sigma_y, 1e-3)
        self.angle = check_range(me, "angle", angle)
        self.beta_gaussian = check_range(me, "beta_gaussian", beta_gaussian, 1e-3)
        self.beta_plateau = check_range(me, "beta_plateau", beta_plateau, 1e-3)
        self.omega = None if omega is None else check_range(me, "omega", omega, 1e-3, 3.1416)
        self.sigma_step = check_number(me, "sigma_step", sigma_step)
        self.angle_step = check_number(me, "angle_step", angle_step)
        self.beta_gaussian_step = check_number(me, "beta_gaussian_step", beta_gaussian_step)
        self.beta_plateau_step = check_number(me, "beta_plateau_step", beta_plateau_step)
        self.omega_step = check_number(me, "omega_step", omega_step)
        self.beta_halves = check_flag(me, "beta_halves", beta_halves)
        if self.beta_halves and not all(r[0] <= 1 <= r[1] for r in (self.beta_gaussian, self.beta_plateau)):
            raise ConfigError(f"{me} (DEGRADATIONS): beta_halves needs ranges of beta that hold 1")

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, Record]:
        check_clip(frames_TCHW)
        low, high = (int(side) for side in self.kernel_size)
        size = int(low + 2 * rng.integers((high - low) // 2 + 1))
        kind = choose(rng, self.kinds)
        kernels, drawn = self.draw(rng, kind, size, len(frames_TCHW))
        blurred = filter_frames(frames_TCHW, kernels, separable=kind == "iso").clamp_(0, 1)
        record: Record = {"name": "RandomBlur", "scale": 1, "kind": kind, "kernel_size": size}
        return blurred, {**record, **{name: told(values) for name, values in drawn.items()}}

    def draw(
        self, rng: np.random.Generator, kind: str, size: int, n_frames: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The kernels (T, size, size) of a kind, and its parameters, (T,) each."""
        if kind == "sinc":
            omega = self.omega or (math.pi / (3 if size < SMALL_SINC_PX else 5), math.pi)
            drawn = {"omega": walk(rng, omega, self.omega_step, n_frames)}
            return sinc_kernels(size, drawn["omega"]), drawn
        form = kind.removesuffix("_iso").removesuffix("_aniso") if "_" in kind else "gaussian"
        drawn = {"sigma_x": walk(rng, self.sigma_x, self.sigma_step, n_frames)}
        if kind.endswith("aniso"):
            drawn["sigma_y"] = walk(rng, self.sigma_y, self.sigma_step, n_frames)
            drawn["angle"] = walk(rng, self.angle, self.angle_step, n_frames)
        if form != "gaussian":
            within = self.beta_gaussian if form == "generalised" else self.beta_plateau
            step = self.beta_gaussian_step if form == "generalised" else self.beta_plateau_step
            start = None
            if self.beta_halves:
                below = rng.uniform(0, 1) < 0.5
                start = rng.uniform(within[0], 1) if below else rng.uniform(1, within[1])
            drawn["beta"] = walk(rng, within, step, n_frames, start)
        sigma_y = drawn.get("sigma_y", drawn["sigma_x"])
        angle = drawn.get("angle", np.zeros(n_frames))
        return bell_kernels(size, drawn["sigma_x"], sigma_y, angle, drawn.get("beta"), form), drawn
