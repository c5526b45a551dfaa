"""VEnhancer: generative enhancement in space and time through a latent video diffusion model (arXiv 2407.07667)."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.adapters import EmptyText, OpenCLIPText, TextEncoder
from vrestore.autoencoders import Autoencoder
from vrestore.diffusion import (
    Denoiser,
    Guidance,
    WindowedDenoiser,
    initial_state,
    plan_key_frame_windows,
    sampling_sigmas,
)
from vrestore.errors import ConfigError, RequestError, WeightsError
from vrestore.memory import MemoryNeed
from vrestore.registry import ADAPTERS, AUTOENCODERS, BACKBONES, MODELS, SCHEDULES
from vrestore.restorers.base import AUTOCAST_DTYPES
from vrestore.restorers.capabilities import Capabilities, Scales
from vrestore.restorers.request import Request
from vrestore.restorers.venhancer.canvas import Canvas, least_canvas
from vrestore.restorers.venhancer.draws import ClipDraws
from vrestore.restorers.venhancer.frames import MOST, FramePlan, plan_frames, plan_official_frames
from vrestore.restorers.venhancer.memory import (
    FLOAT,
    NO_FORECAST_FEATURES,
    decoding_bytes,
    denoising_bytes,
    encoding_bytes,
)
from vrestore.restorers.venhancer.official import RELEASES, OfficialDraws, official_canvas, truncate_to_8bit
from vrestore.restorers.venhancer.residual import SHOWN_BY, Residual
from vrestore.restorers.venhancer.trainable import TrainableVEnhancer
from vrestore.samplers import StepReport, build_sampler, traits_of

logger = logging.getLogger("vrestore")

SPATIAL = (1.0, 8.0)
PARTS = ("unet", "backbone", "autoencoder", "text", "lora")  # in the order in which their weights are loaded
PURE_NOISE = 999  # where the releases' noise level -1 points to
ENCODED, SAMPLED = 0.03, 0.93  # how much of the work is done by then, roughly


@MODELS.register_module()
class VEnhancer(TrainableVEnhancer):
    """Restore by generating: frames are resized, placed as key frames, noised, and denoised under their own guidance.

    Conditions of the network: latents of the key frames, noised by `strength`; which frames they are; the noise level;
    the downscale factor; text.

    Args:
        backbone: config of the network (BACKBONES) with an adapter that takes key frames; its class has
            ``least_legal_size``.
        autoencoder: config (AUTOENCODERS) with as many latent channels as the network takes.
        text: config of the text encoder (ADAPTERS, `TextEncoder`); None is `EmptyText` of the network's width.
        schedule: config of the noise schedule (SCHEDULES).
        weights: of the parts ``backbone``, ``autoencoder`` and ``text``, by name: a path, an address, or dict(file=…,
            url=…, sha256=…); loaded by `vrestore.load_restorer`. ``unet`` is the backbone without its adapter, which
            then starts as a copy of it; ``lora`` is a file of LoRA weights, merged into the backbone's.
        release: whose pipeline ``parity=True`` reproduces, ``v1`` (2024-07-29) or ``v2`` (2024-09-16).
        noise_levels: timesteps of the schedule that are used; sampling starts at the last one (official: 900).
        steps: sampling steps where a request names none. ``fast`` spacing has its own 14.
        spacing: of the timesteps, see `sampling_sigmas`. A request that names steps and finds ``fast`` here gets
            ``trailing``.
        strength: noise augmentation where a request names none, 0 to 300; 0 is none.
        guidance_scale, guidance_rescale: see `Guidance`; the first is what a request that names none gets.
        sampler: where a request names none.
        prompt: where a request names none.
        scale: spatial factor where a request names none, 1 to 8.
        downscale: factor told to the network; None tells the real one.
        window_frames, overlap_frames: longer clips are denoised in windows of key frames, see `plan_key_frame_windows`.
        noise: of stochastic samplers, ``brownian`` or ``white``.
        sample_posterior: draw from the autoencoder's posterior. By default its mode is taken, and each key frame is
            encoded once however often it is repeated.
        corrected_start: divide the first state by alpha, see `initial_state`.
        residual_std: generate what the key frames lack in place of the whole picture, see `Residual`: the standard
            deviation of that in each latent channel; None draws the whole, as published.
        residual_gain, residual_contrast, residual_kernel: how much of it is added, where, and to what; see `Residual`.
        untrained: this config is meant to run with random weights, as tests and timings do.
        dtype: of the network's weights when they are loaded from a file: ``fp32``, ``fp16`` or ``bf16``.
        defer_weights: build the network without memory; its weights must then be loaded before use.
        weights_licence: licence of the weights in use, shown with the capabilities.
        training: how it is trained, see `TrainingSettings`.
        lora: adapters to be trained, see `add_lora`: dict(rank=8, alpha=None, targets=[…]); None adds none.

    Raises:
        ConfigError: parts that do not fit each other, or a value out of its range.
    """

    def __init__(
        self,
        backbone: dict,
        autoencoder: dict,
        text: dict | None = None,
        schedule: dict | None = None,
        weights: Mapping[str, Any] | None = None,
        release: str = "v2",
        noise_levels: int = 900,
        steps: int = 15,
        spacing: str = "fast",
        strength: int = 200,
        guidance_scale: float = 7.5,
        guidance_rescale: float = 0.2,
        sampler: str | dict = "dpmpp_2m_sde",
        prompt: str = "a good video",
        scale: float = 4.0,
        downscale: float | None = None,
        window_frames: int = 32,
        overlap_frames: int = 16,
        noise: str = "brownian",
        sample_posterior: bool = False,
        corrected_start: bool = False,
        residual_std: Sequence[float] | None = None,
        residual_gain: float = 1.0,
        residual_contrast: float = 0.0,
        residual_kernel: str = SHOWN_BY,
        untrained: bool = False,
        dtype: str | None = None,
        defer_weights: bool = False,
        weights_licence: str | None = None,
        training: Mapping[str, Any] | None = None,
        lora: Mapping[str, Any] | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.schedule = SCHEDULES.build(schedule or {"type": "LogSNRCosineInterp"})
        _check_settings(release, noise_levels, len(self.schedule), scale, weights, lora)
        # Settings that a request may leave out are checked as a request's are.
        Request(steps=steps, strength=strength, guidance_scale=guidance_scale, prompt=prompt)
        with torch.device("meta") if defer_weights else nullcontext():
            self.backbone: Any = BACKBONES.build(backbone)
        self.autoencoder: Autoencoder = AUTOENCODERS.build(autoencoder).requires_grad_(False)
        self.text: TextEncoder = ADAPTERS.build(text or {"type": "EmptyText", "context_dim": _width(self.backbone)})
        _check_parts(self.backbone, self.autoencoder, self.text)
        channels = self.autoencoder.latent_channels
        self.residual = None
        if residual_std is not None:
            self.residual = Residual(residual_std, channels, residual_gain, residual_contrast, residual_kernel)
        self.prepare_training(training, lora, copy_encoder=not defer_weights)
        self.weight_files = {part: weights[part] for part in PARTS if weights and weights.get(part) is not None}
        self.weights_dtype = dtype
        self.may_run_untrained = untrained
        self.release = release
        self.noise_levels = noise_levels
        self.steps, self.spacing, self.sampler = steps, spacing, sampler
        self.strength = strength
        self.guidance_scale, self.guidance_rescale = guidance_scale, guidance_rescale
        self.prompt = prompt
        self.scale, self.downscale = float(scale), downscale
        self.window_frames, self.overlap_frames = window_frames, overlap_frames
        self.noise, self.sample_posterior, self.corrected_start = noise, sample_posterior, corrected_start
        self._weights_licence = weights_licence
        self._forecast: tuple[tuple, MemoryNeed] | None = None  # the last one, and what it was for

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            spatial_scales=Scales(between=SPATIAL),
            default_scale=self.scale,
            temporal_scales=Scales(between=(1.0, float(MOST))),
            context_frames=None,  # groups are normalised over the whole clip
            dtypes=("fp32", "bf16", "fp16"),
            takes_prompt=not isinstance(self.text, EmptyText),
            weights_licence=self._weights_licence,
        )

    def stream(self, frames_TCHW: Tensor, request: Request | None = None) -> Iterator[Tensor]:
        """See `BaseRestorer.stream`.

        Frames: ``round(T * factor)`` of them; with ``parity=True`` ``(T - 1) * multiple + 1``, as the releases give.

        Raises:
            RequestError: as `BaseRestorer.restore`, or a target size beyond 1 to 8 times the source's.
            WeightsError: a part has no weights yet.
        """
        for name in ("backbone", "autoencoder"):
            if any(p.is_meta for p in getattr(self, name).parameters()):
                raise WeightsError(
                    f"the {name} of VEnhancer has no weights yet: load the model with vrestore.load_restorer and give "
                    f"the file (weights=…, --weights FILE, or model.weights.{name} in the config)"
                )
        return super().stream(frames_TCHW, request)

    def output_size(self, request: Request, height: int, width: int) -> tuple[int, int]:
        """As `BaseRestorer.output_size`; with ``parity=True`` the size is the release's.

        Raises:
            RequestError: a target size beyond 1 to 8 times the source's.
        """
        if request.parity:
            canvas, _ = official_canvas(self.release, height, width, self.capabilities.factor(request), request.size)
            return canvas.height, canvas.width
        if request.size is not None:
            factors = request.size[0] / height, request.size[1] / width
            if not SPATIAL[0] <= min(factors) <= max(factors) <= SPATIAL[1]:
                raise RequestError(
                    f"size={request.size} is {factors[0]:.3g} x {factors[1]:.3g} times frames of {(height, width)} "
                    f"(height, width); this model serves {SPATIAL[0]:g} to {SPATIAL[1]:g} times on each side"
                )
        return super().output_size(request, height, width)

    def restore_frames(self, frames_TCHW: Tensor, request: Request) -> Tensor:
        return torch.cat(list(self.stream_frames(frames_TCHW, request)))

    def stream_frames(self, frames_TCHW: Tensor, request: Request) -> Iterator[Tensor]:
        canvas, downscale, plan = self._plan(request, len(frames_TCHW), *frames_TCHW.shape[-2:])
        for frames in self.generate(frames_TCHW, canvas, plan, downscale, request):
            yield truncate_to_8bit(frames) if request.parity else frames

    def memory_need(self, request: Request, frames: int, height: int, width: int) -> MemoryNeed | None:
        """See `BaseRestorer.memory_need`; None for clips so small that they need no forecast."""
        with warnings.catch_warnings():  # on frame rates; they belong to the restoration itself
            warnings.simplefilter("ignore")
            canvas, _, plan = self._plan(request, frames, height, width)
        rows, columns = (side // self.autoencoder.downsample for side in canvas.whole)
        window = max(stop - start for start, stop in self._windows(plan, request))
        if self.backbone.sizes["dim"] * window * rows * columns < NO_FORECAST_FEATURES:
            return None
        precision = AUTOCAST_DTYPES.get(request.precision)
        key = frames, plan.frames, window, rows, columns, precision
        if self._forecast is None or self._forecast[0] != key:
            self._forecast = key, self._foresee(*key)
        return self._forecast[1]

    def _foresee(
        self, keys: int, frames: int, window: int, rows: int, columns: int, precision: torch.dtype | None
    ) -> MemoryNeed:
        height, width = rows * self.autoencoder.downsample, columns * self.autoencoder.downsample
        latents = self.autoencoder.latent_channels * frames * rows * columns * FLOAT
        return MemoryNeed(
            throughout={"key frames": 2 * keys * 3 * height * width * FLOAT, "latents": 8 * latents},
            stages={
                "encoding a frame": encoding_bytes(self.autoencoder, rows, columns),
                f"denoising {window} frames of {width}x{height}": denoising_bytes(
                    self.backbone, window, rows, columns, precision
                ),
                "decoding": decoding_bytes(self.autoencoder, frames, rows, columns, precision),
            },
            lower_by=(
                "to need less: a lower scale or size, fewer frames, and in the config "
                f"model.window_frames (now {self.window_frames}), model.dtype='bf16', "
                "model.backbone.chunk_tokens=65536, model.autoencoder.tiling and encode_tiling"
            ),
        )

    def generate(
        self, frames_TCHW: Tensor, canvas: Canvas, plan: FramePlan, downscale: float, request: Request
    ) -> Iterator[Tensor]:
        """The whole way: resize, encode, noise, denoise, decode, crop.

        Args:
            frames_TCHW: key frames in [0, 1].
            canvas: where they lie in what the network works on.
            plan: which frames are generated and shown.
            downscale: factor told to the network.

        Yields:
            The shown frames (t, 3, H', W'), not cut to [0, 1], as they are decoded.
        """
        draws = self._draws(request, frames_TCHW.device)
        latents, keys = self.encode(canvas.fill(frames_TCHW), plan, draws, request.parity)
        hint, noise_level = self.augment(keys, self._strength(request), draws, request.parity)
        base = None
        if self.residual is not None:
            enlarged = keys
            if self.residual.kernel != SHOWN_BY:
                enlarged = self.encode(canvas.fill(frames_TCHW, self.residual.kernel), plan, draws, request.parity)[1]
            base = self.residual.base(enlarged[0], plan.key_frame_index)[None]
            latents = torch.zeros_like(base)
        noised = self.schedule.diffuse(latents, self.noise_levels - 1, draws.start(latents))
        conditions = {
            "text": self._text(request, latents.device),
            "key_latents": hint,
            "key_frame_index": plan.key_frame_index.to(latents.device)[None],
            "noise_level": noise_level,
            "downscale": float(downscale),
        }
        del latents, keys
        self._tell(ENCODED)
        x0 = self.denoise(noised, conditions, plan, draws, request)
        del noised, conditions, hint
        if self.residual is not None and base is not None:
            x0 = self.residual.completed(x0, base)
        del base
        start = 0
        for block in self.autoencoder.decode_blocks(x0, clamp=False):
            stop = start + block.shape[1]
            shown = plan.shown[(plan.shown >= start) & (plan.shown < stop)] - start
            self._tell(SAMPLED + (1 - SAMPLED) * stop / plan.frames)
            if len(shown):
                yield canvas.cut(block[0][shown.to(block.device)])
            start = stop

    def _plan(self, request: Request, frames: int, height: int, width: int) -> tuple[Canvas, float, FramePlan]:
        """Where the frames lie, the downscale factor that is told, and which frames are generated and shown."""
        factor = request.time_factor()
        if request.parity:
            scale = self.capabilities.factor(request)
            canvas, downscale = official_canvas(self.release, height, width, scale, request.size)
            return canvas, downscale, plan_official_frames(frames, factor)
        target = self.output_size(request, height, width)
        canvas = least_canvas(*target, self.autoencoder.downsample, self.backbone.least_legal_size)
        real = min(max((target[0] * target[1] / (height * width)) ** 0.5, SPATIAL[0]), SPATIAL[1])
        return canvas, real if self.downscale is None else self.downscale, plan_frames(frames, factor)

    def encode(
        self, frames_TCHW: Tensor, plan: FramePlan, draws: ClipDraws | OfficialDraws, each: bool
    ) -> tuple[Tensor, Tensor]:
        """Latents of the clip that sampling starts from, key frames repeated (1, C, T, h, w), and of the keys alone.

        Args:
            each: encode every repetition on its own, as the releases do; with a sampled posterior they then differ.
        """
        source = plan.source.to(frames_TCHW.device)
        # The VAE's encoder stays in the weights' precision, as it does in the releases.
        with torch.autocast(frames_TCHW.device.type, enabled=False):
            if each:
                latents = self.autoencoder.encode(frames_TCHW[source], generator=draws.posterior)
                # The releases keep latents frame by frame in memory, and draw noise in the order of memory.
                latents = latents.transpose(1, 2).contiguous().transpose(1, 2)
                return latents, latents[:, :, :: plan.multiple]
            keys = self.autoencoder.encode(frames_TCHW, generator=draws.posterior)
        return keys[:, :, source.to(keys.device)], keys

    def augment(
        self, keys: Tensor, strength: int, draws: ClipDraws | OfficialDraws, parity: bool
    ) -> tuple[Tensor, int]:
        """Key-frame latents noised by a strength, and the noise level that tells of it.

        Strength s is timestep s - 1. Strength 0 leaves the latents as they are; in the releases it is timestep -1,
        which picks the schedule's last entry, pure noise.
        """
        if strength == 0 and not parity:
            return keys, 0
        level = strength - 1
        return self.schedule.diffuse(keys, level if level >= 0 else PURE_NOISE, draws.key_frames(keys)), level

    def denoise(
        self,
        noised: Tensor,
        conditions: dict[str, Any],
        plan: FramePlan,
        draws: ClipDraws | OfficialDraws,
        request: Request,
    ) -> Tensor:
        """Sample x0 (1, C, T, h, w) from noised latents of that shape; long clips in windows blended in x0."""
        sampler = build_sampler(request.sampler or self.sampler)
        sigmas = self.sigmas(request, traits_of(sampler).discard_penultimate)
        scale = self.guidance_scale if request.guidance_scale is None else request.guidance_scale
        denoiser = Denoiser(
            self.backbone,
            self.schedule,
            conditions,
            guidance=Guidance(scale, self.guidance_rescale),
            negative={"text": self._negative(request, noised.device)} if scale != 1 else None,
            frame_axes={"key_frame_index": 1},
        )
        windows = self._windows(plan, request)
        blended = WindowedDenoiser(denoiser, windows, "linear" if request.parity else "cosine")
        x = initial_state(noised, float(sigmas[0]), corrected=self.corrected_start and not request.parity)
        noise = draws.for_sampler(x, sigmas)
        return sampler(blended, x, sigmas, noise_sampler=noise, callback=self._reporter(plan, len(windows)))

    def sigmas(self, request: Request, discard_penultimate: bool) -> Tensor:
        """The noise levels that a request's sampling visits."""
        spacing = "trailing" if request.steps is not None and self.spacing == "fast" else self.spacing
        return sampling_sigmas(
            self.schedule,
            request.steps or self.steps,
            spacing=spacing,
            t_max=self.noise_levels - 1,
            discard_penultimate=discard_penultimate,
            exact_count=not request.parity,
        )

    def _windows(self, plan: FramePlan, request: Request) -> list[tuple[int, int]]:
        if request.parity and self.release == "v1":
            return [(0, plan.frames)]
        return plan_key_frame_windows(plan.frames, plan.multiple, self.window_frames, self.overlap_frames)

    def _draws(self, request: Request, device: torch.device) -> ClipDraws | OfficialDraws:
        if request.parity:
            return OfficialDraws(self.release, request.seed, device)
        return ClipDraws(request.seed, self.noise, self.sample_posterior)

    def _strength(self, request: Request) -> int:
        return self.strength if request.strength is None else request.strength

    def _text(self, request: Request, device: torch.device) -> Tensor:
        return self.text.encode_prompt(self.prompt if request.prompt is None else request.prompt, device)

    def _negative(self, request: Request, device: torch.device) -> Tensor:
        return self.text.encode_negative(request.negative_prompt, device)

    def _tell(self, done: float) -> None:
        if self.on_progress is not None:
            self.on_progress(done)

    def _reporter(self, plan: FramePlan, windows: int) -> Callable[[StepReport], None]:
        """Tells how far sampling is: `on_progress` where somebody listens, else the log."""
        started = time.perf_counter()
        logger.info(
            f"VEnhancer generates {plan.frames} frames from {plan.keys} key frame(s), in {windows} window(s) a step"
        )

        def tell(report: StepReport) -> None:
            if self.on_progress is None:
                left = (time.perf_counter() - started) / report.step * (report.steps - report.step)
                logger.info(f"sampling step {report.step} of {report.steps}, about {left:.0f} s left")
            self._tell(ENCODED + (SAMPLED - ENCODED) * report.step / report.steps)

        return tell


def _width(backbone: nn.Module) -> int:
    return getattr(backbone, "sizes", {}).get("context_dim", 1024)


def _check_settings(
    release: str,
    noise_levels: int,
    timesteps: int,
    scale: float,
    weights: Mapping[str, Any] | None,
    lora: Mapping[str, Any] | None,
) -> None:
    if release not in RELEASES:
        raise ConfigError(f"release must be one of {', '.join(RELEASES)}, got {release!r}")
    if not 1 <= noise_levels <= timesteps:
        raise ConfigError(f"noise_levels must lie from 1 to the schedule's {timesteps} timesteps, got {noise_levels!r}")
    if not SPATIAL[0] <= scale <= SPATIAL[1]:
        raise ConfigError(f"scale must lie from {SPATIAL[0]:g} to {SPATIAL[1]:g}, got {scale!r}")
    for name in weights or {}:
        if name not in PARTS:
            raise ConfigError(f"weights are of {', '.join(PARTS)}; VEnhancer has no part '{name}'")
    if weights and weights.get("unet") is not None and lora is not None:
        raise ConfigError(
            "weights.unet leaves the adapter untrained, and model.lora would keep it so: give weights.backbone, or "
            "train without model.lora"
        )


def _check_parts(backbone: Any, autoencoder: Any, text: Any) -> None:
    """Refuse parts that do not fit each other.

    Raises:
        ConfigError: names both parts and the numbers.
    """
    if not isinstance(autoencoder, Autoencoder):
        raise ConfigError(f"autoencoder must be an Autoencoder, got {type(autoencoder).__name__}")
    if not isinstance(text, TextEncoder):
        raise ConfigError(f"text must be a TextEncoder such as {OpenCLIPText.__name__}, got {type(text).__name__}")
    if not hasattr(backbone, "least_legal_size"):
        raise ConfigError(f"backbone must be a latent video network such as UNet3D, got {type(backbone).__name__}")
    sizes = backbone.sizes
    if sizes["in_dim"] != autoencoder.latent_channels:
        raise ConfigError(
            f"the backbone takes latents of {sizes['in_dim']} channels (in_dim) and the autoencoder "
            f"{type(autoencoder).__name__} gives {autoencoder.latent_channels}: they must be equal"
        )
    if sizes["context_dim"] != text.context_dim:
        raise ConfigError(
            f"the backbone attends to {sizes['context_dim']} channels (context_dim) and the text encoder "
            f"{type(text).__name__} gives {text.context_dim}: they must be equal"
        )
    if backbone.adapter is None:
        raise ConfigError("VEnhancer needs a backbone with an adapter: adapter=dict(type='VideoControlNet')")
