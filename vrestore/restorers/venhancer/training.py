"""Training VEnhancer (arXiv 2407.07667, sections 3.2 to 3.4): the v-prediction loss, and what of the network trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.diffusion import NoiseSchedule, target
from vrestore.errors import ConfigError, RequestError
from vrestore.layers.lora import lora_parameters
from vrestore.restorers.request import STRENGTH_RANGE
from vrestore.restorers.venhancer.record import Conditioning, conditioning_of
from vrestore.restorers.venhancer.residual import SHOWN_BY

TRAINABLE = ("controlnet", "unet", "all", "lora")


@dataclass(frozen=True)
class TrainingSettings:
    """How VEnhancer is trained; defaults are the paper's recipe.

    Attributes:
        trainable: ``controlnet`` (the adapter alone; the UNet is frozen), ``unet`` (without the adapter), ``all``, or
            ``lora`` (what `model.lora` added, and nothing else). None is ``lora`` where there is one, else
            ``controlnet``.
        copy_encoder: the ControlNet starts as a copy of the UNet's encoder and middle block, with ways in and out that
            are zero, where no weights are loaded into it.
        open_ways: 0 leaves the ControlNet's ways in and out at zero, so that it changes nothing yet. A network that
            trains from nothing, with no UNet to protect, learns its conditions sooner with ways that are drawn at
            random, as other layers are; the key frames' way in is this many times as wide, for beside it comes the
            noise.
        latent_cache: folder in which encoded frames are kept, see `LatentCache`; None encodes every sample anew. For
            whole frames and centre crops, which come again.
        text_dropout: probability that a clip's prompt is replaced by `dropped_text`, 0 to 1.
        dropped_text: the prompt in its place; None is the text encoder's negative prompt.
        strength: least and most noise augmentation of the key frames where a record tells none, 0 to 300, drawn
            uniformly. The paper's is 1 to 300.
        min_snr_gamma: weight the loss of each timestep by min(SNR, gamma) / (SNR + 1) (arXiv 2303.09556, for v); None
            weights all alike, as the paper does.

    Raises:
        ConfigError: an unknown setting or a value out of its range.
    """

    trainable: str | None = None
    copy_encoder: bool = True
    open_ways: float = 0.0
    latent_cache: str | None = None
    text_dropout: float = 0.1
    dropped_text: str | None = ""
    strength: tuple[int, int] = (1, STRENGTH_RANGE[1])
    min_snr_gamma: float | None = None

    def __post_init__(self) -> None:
        if self.trainable not in (None, *TRAINABLE):
            raise ConfigError(f"training.trainable must be one of {', '.join(TRAINABLE)}, got {self.trainable!r}")
        if not 0 <= self.text_dropout <= 1:
            raise ConfigError(f"training.text_dropout must lie from 0 to 1, got {self.text_dropout!r}")
        low, high = STRENGTH_RANGE
        pair = tuple(self.strength) if isinstance(self.strength, (tuple, list)) else ()
        whole = len(pair) == 2 and all(isinstance(s, int) and not isinstance(s, bool) for s in pair)
        if not whole or not low <= pair[0] <= pair[1] <= high:
            raise ConfigError(f"training.strength must be (least, most) from {low} to {high}, got {self.strength!r}")
        object.__setattr__(self, "strength", pair)
        if not 0 <= self.open_ways < float("inf"):
            raise ConfigError(f"training.open_ways must be a factor >= 0, got {self.open_ways!r}")
        if self.min_snr_gamma is not None and not self.min_snr_gamma > 0:
            raise ConfigError(f"training.min_snr_gamma must be above 0, or None, got {self.min_snr_gamma!r}")

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> TrainingSettings:
        names = [field.name for field in fields(cls)]
        unknown = [name for name in settings or {} if name not in names]
        if unknown:
            raise ConfigError(f"training takes no '{unknown[0]}' (allowed: {', '.join(names)})")
        return cls(**(settings or {}))


def choose_trainable(backbone: Any, trainable: str) -> None:
    """Let gradients reach the chosen part of a network with an adapter, and no other."""
    backbone.requires_grad_(False)
    chosen: Sequence[nn.Parameter]
    if trainable == "lora":
        chosen = list(lora_parameters(backbone))
        if not chosen:
            raise ConfigError("training.trainable='lora' needs model.lora=dict(rank=8)")
    elif trainable == "controlnet":
        chosen = list(backbone.adapter.parameters())
    else:
        frozen = {id(p) for p in backbone.adapter.parameters()} if trainable == "unet" else set()
        chosen = [p for p in backbone.parameters() if id(p) not in frozen]
    for parameter in chosen:
        parameter.requires_grad_(True)


def rest_what_is_frozen(backbone: Any) -> None:
    """Put the parts of a network in which nothing trains into evaluation mode: no dropout."""
    adapter = backbone.adapter
    parts: list[list[nn.Module]] = [[adapter], [child for child in backbone.children() if child is not adapter]]
    for part in parts:
        if not any(p.requires_grad for module in part for p in module.parameters()):
            for module in part:
                module.eval()


def diffusion_loss(
    model: Any, lq: Tensor | Sequence[Tensor], hq: Tensor, records: Sequence[Any] | None, prompts: Sequence[Any] | None
) -> dict[str, Tensor]:
    """``E ||v - f(z_t, t, c)||^2`` with ``v = alpha_t eps - sigma_t z`` and t uniform over the schedule (equation 2).

    Every draw of a clip (timestep, noises, strength, dropped prompt) comes from one generator of its own. Its seed is
    the record's ``seed`` where it has one, so that neither the number of processes nor a resume changes it; else it is
    drawn from torch's global generator, which the training loop seeds anew at each iteration.

    Args:
        model: a `VEnhancer`.
        lq: degraded clips (B, K, 3, h, w) in [0, 1], or a list of clips of unlike numbers of frames and sizes: the key
            frames.
        hq: clean clips (B, T, 3, H, W) in [0, 1]; H and W must be sizes that the network can serve.
        records: of the degradations, see `conditioning_of`; None makes every given frame a key frame.
        prompts: of the clips; None is the model's own, for one or for all.

    Raises:
        RequestError: sizes that the network cannot serve, or records that do not fit the clips.
    """
    settings: TrainingSettings = model.training_settings
    model.check_training_size(*hq.shape[-2:])
    told = [
        conditioning_of(record, len(clip), len(hq[i]), clip.shape[-2:], hq.shape[-2:])
        for i, (clip, record) in enumerate(zip(lq, records or [None] * len(hq), strict=True))
    ]
    draws = [generator_of(record) for record in records or [None] * len(hq)]
    latents, keys = encode_clips(model, hq, draws), encode_keys(model, lq, hq.shape[-2:], draws)
    index = torch.stack([c.key_frame_index for c in told]).to(hq.device)
    strengths = [_strength(c, settings.strength, draw) for c, draw in zip(told, draws, strict=True)]
    if model.residual is not None:
        enlarged = keys
        if model.residual.kernel != SHOWN_BY:
            enlarged = encode_keys(model, lq, hq.shape[-2:], draws, model.residual.kernel)
        base = [model.residual.base(key, c.key_frame_index) for key, c in zip(enlarged, told, strict=True)]
        latents = model.residual.lacking(latents, torch.stack(base))
    hint, levels = augment_keys(model.schedule, keys, strengths, draws)
    timesteps = torch.stack([torch.randint(len(model.schedule), (), generator=draw) for draw in draws])
    noise = torch.stack([_noise(clip, draw) for clip, draw in zip(latents, draws, strict=True)])
    text = torch.cat(
        [_text(model, prompt, draw) for prompt, draw in zip(prompts or [None] * len(hq), draws, strict=True)]
    )
    output = model.backbone(
        model.schedule.diffuse(latents, timesteps, noise),
        timesteps.to(hq.device),
        text.to(hq.device),
        key_latents=hint,
        key_frame_index=index,
        noise_level=levels.to(hq.device),
        downscale=torch.tensor([c.downscale for c in told], device=hq.device),
    )
    alpha, sigma = model.schedule.levels(timesteps, latents)
    errors = (output.float() - target("v", latents, noise, alpha, sigma)).square().flatten(1).mean(1)
    return {"loss_v": (errors * snr_weights(model.schedule, timesteps, settings.min_snr_gamma).to(errors)).mean()}


def generator_of(record: Any) -> torch.Generator:
    """The generator of everything that the loss draws for one clip."""
    seed = record.get("seed") if isinstance(record, Mapping) else None
    if seed is None:
        seed = int(torch.randint(2**63 - 1, ()))
    return torch.Generator().manual_seed(int(seed))


@torch.no_grad()
def encode_clips(model: Any, hq: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
    """Latents of the clean clips (B, C, T, h, w)."""
    with torch.autocast(hq.device.type, enabled=False):
        return torch.cat(
            [model.autoencoder.encode(c, generator=_posterior(model, d)) for c, d in zip(hq, draws, strict=True)]
        )


@torch.no_grad()
def encode_keys(
    model: Any,
    lq: Tensor | Sequence[Tensor],
    size: Sequence[int],
    draws: Sequence[torch.Generator],
    kernel: str = SHOWN_BY,
) -> list[Tensor]:
    """Latents of each clip's key frames (C, K, h, w), enlarged by `kernel` to (height, width) in pixels."""
    keys = []
    for given, draw in zip(lq, draws, strict=True):
        with torch.autocast(given.device.type, enabled=False):
            resized = F.interpolate(given.float(), size=tuple(size), mode=kernel, align_corners=False)
            keys.append(model.autoencoder.encode(resized, generator=_posterior(model, draw), keep=False)[0])
    return keys


def _posterior(model: Any, draw: torch.Generator) -> torch.Generator | None:
    """The generator that samples the autoencoder's posterior, or None where its mean is taken."""
    return draw if model.sample_posterior else None


def augment_keys(
    schedule: NoiseSchedule, keys: Sequence[Tensor], strengths: Sequence[int], draws: Sequence[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """Each clip's key latents (C, K, h, w), noised by a strength, as one (B, C, K, h, w); and the levels told of it.

    As in restoration, strength s is timestep s - 1, and strength 0 leaves the latents alone and is told as level 0. K
    is the most of any clip; what others have less is filled with zeros, to which no index points.
    """
    levels = [max(strength - 1, 0) for strength in strengths]
    most = max(key.shape[1] for key in keys)
    noised = []
    for key, strength, level, draw in zip(keys, strengths, levels, draws, strict=True):
        noise = _noise(key, draw)
        key = schedule.diffuse(key, level, noise) if strength > 0 else key
        noised.append(F.pad(key, (0, 0, 0, 0, 0, most - key.shape[1])))
    return torch.stack(noised), torch.tensor(levels)


def snr_weights(schedule: NoiseSchedule, timesteps: Tensor, gamma: float | None) -> Tensor:
    """Weight of each timestep's loss, see `TrainingSettings.min_snr_gamma`."""
    if gamma is None:
        return torch.ones(len(timesteps))
    snr = schedule.logsnr[timesteps].double().exp()
    return (snr.clamp(max=gamma) / (snr + 1)).float()


def _strength(told: Conditioning, between: tuple[int, int], draw: torch.Generator) -> int:
    drawn = int(torch.randint(between[0], between[1] + 1, (), generator=draw))
    return drawn if told.strength is None else told.strength


def _noise(like: Tensor, draw: torch.Generator) -> Tensor:
    """Unit normal noise, drawn on the CPU: the same on every device."""
    return torch.randn(like.shape, generator=draw).to(like.device)


def _text(model: Any, prompt: Any, draw: torch.Generator) -> Tensor:
    """Features (1, L, D) of a clip's prompt, or now and then of what replaces it."""
    settings: TrainingSettings = model.training_settings
    if float(torch.rand((), generator=draw)) < settings.text_dropout:
        if settings.dropped_text is None:
            return model.text.encode_negative()
        return model.text.encode([settings.dropped_text])
    return model.text.encode_prompt(model.prompt if prompt is None else prompt)


def nearest_legal_sizes(model: Any, height: int, width: int) -> list[tuple[int, int]]:
    """The legal (height, width) in pixels around one that is not: the next larger, and the next smaller that exist."""
    cell, step = model.autoencoder.downsample, model.autoencoder.downsample * 2**model.backbone.halvings
    rows, columns = model.backbone.least_legal_size(-(-height // cell), -(-width // cell))
    above = rows * cell, columns * cell
    below = above[0] - step * (above[0] > height), above[1] - step * (above[1] > width)
    least = model.backbone.least_legal_size(1, 1)
    fits = below[0] >= least[0] * cell and below[1] >= least[1] * cell
    return [*([below] if fits and below != above else []), above]


def check_size(model: Any, height: int, width: int) -> None:
    """Refuse clips whose latents the network cannot serve.

    Raises:
        RequestError: names the nearest sizes that it can.
    """
    cell = model.autoencoder.downsample
    legal = nearest_legal_sizes(model, height, width)
    if height % cell == 0 and width % cell == 0 and legal[-1] == (height, width):
        return
    told = " or ".join(f"({h}, {w})" for h, w in legal)
    halvings = model.backbone.halvings
    raise RequestError(
        f"training clips of {height}x{width} pixels (height x width) do not fit this network: a latent cell is {cell} "
        f"pixels, and with {halvings} halvings the height must be a multiple of {cell * 2**halvings} plus {2 * cell}, "
        f"the width a multiple of {cell * 2**halvings}; nearest: crop_px={told}"
    )
