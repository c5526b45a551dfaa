"""The half of VEnhancer that trains: what of it does, its loss, and what is told before a run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vrestore.adapters import VideoControlNet
from vrestore.autoencoders.latent_cache import LatentCache
from vrestore.errors import ConfigError
from vrestore.layers.lora import add_lora
from vrestore.restorers.base import BaseRestorer
from vrestore.restorers.venhancer.memory import training_need
from vrestore.restorers.venhancer.residual import Residual
from vrestore.restorers.venhancer.training import (
    TrainingSettings,
    check_size,
    choose_trainable,
    diffusion_loss,
    rest_what_is_frozen,
)

LORA_SETTINGS = ("rank", "alpha", "targets")


class TrainableVEnhancer(BaseRestorer):
    """Training of a restorer with a `backbone` that has an adapter, an `autoencoder`, a `text` and a `schedule`.

    Attributes:
        training_settings: see `TrainingSettings`.
        residual: see `Residual`; None where the network draws the whole picture.
    """

    backbone: Any
    autoencoder: Any
    training_settings: TrainingSettings
    residual: Residual | None

    def prepare_training(
        self, training: Mapping[str, Any] | None, lora: Mapping[str, Any] | None, copy_encoder: bool
    ) -> None:
        """Add what a LoRA needs, copy the encoder where that is asked, and choose what trains.

        Args:
            training: arguments of `TrainingSettings`.
            lora: arguments of `add_lora`.
            copy_encoder: whether there are weights to copy.

        Raises:
            ConfigError: an unknown setting, or one out of its range.
        """
        self.training_settings = TrainingSettings.of(training)
        if self.training_settings.latent_cache is not None:
            self.autoencoder.latent_cache = LatentCache(self.training_settings.latent_cache)
        self._trainable = self.training_settings.trainable or ("controlnet" if lora is None else "lora")
        if training is not None and copy_encoder and self.training_settings.copy_encoder:
            self._copy_encoder()
            if self.training_settings.open_ways:
                self.backbone.adapter.open_ways(self.training_settings.open_ways)
        if lora is not None:
            unknown = [name for name in lora if name not in LORA_SETTINGS]
            if unknown or "rank" not in lora:
                what = f"takes no '{unknown[0]}'" if unknown else "needs rank"
                raise ConfigError(f"lora {what} (allowed: {', '.join(LORA_SETTINGS)})")
            add_lora(self.backbone, **lora)
        choose_trainable(self.backbone, self._trainable)

    def train(self, mode: bool = True) -> TrainableVEnhancer:
        """Training mode for what trains; the autoencoder and a frozen network stay in evaluation mode."""
        super().train(mode)
        self.autoencoder.eval()
        rest_what_is_frozen(self.backbone)
        return self

    def forward(  # type: ignore[override]
        self,
        lq: Tensor | list[Tensor],
        hq: Tensor | None = None,
        record: list | None = None,
        clip: list | None = None,
        mode: str = "tensor",
        prompt: list[str | None] | None = None,
        **rest: object,
    ):
        """See `BaseRestorer.forward`; in mode ``loss`` the degraded clips may be a list, and prompts may be given."""
        if mode == "loss" and hq is not None:
            return self.loss(lq, hq, record, prompt)
        return super().forward(lq, hq, record, clip, mode=mode, **rest)  # type: ignore[arg-type]

    def loss(  # type: ignore[override]
        self,
        lq: Tensor | list[Tensor],
        hq: Tensor,
        record: list | None = None,
        prompt: list[str | None] | None = None,
    ) -> dict[str, Tensor]:
        """The v-prediction loss, see `diffusion_loss`."""
        return diffusion_loss(self, lq, hq, record, prompt)

    def check_training_size(self, height: int, width: int) -> None:
        check_size(self, height, width)

    def training_need(
        self, batch: int, frames: int, height: int, width: int, precision: torch.dtype | None = None
    ) -> dict[str, int] | None:
        return training_need(self, batch, frames, height, width, precision)

    @property
    def unet(self) -> Any:
        """The backbone without its adapter: another view of the same weights."""
        view = copy.copy(self.backbone)
        view._modules = {name: part for name, part in view._modules.items() if part is not self.backbone.adapter}
        view._adapter_name = None
        return view

    def part_loaded(self, part: str) -> None:
        """A UNet whose weights came alone gets a ControlNet that is a copy of it."""
        if part == "unet":
            self._copy_encoder()
            choose_trainable(self.backbone, self._trainable)

    def _copy_encoder(self) -> None:
        if isinstance(self.backbone.adapter, VideoControlNet):
            self.backbone.attach(VideoControlNet.from_unet(self.unet))
