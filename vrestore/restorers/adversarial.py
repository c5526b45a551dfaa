"""AdversarialRestorer: a network trained against a discriminator, with two optimisers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.errors import ConfigError, RequestError
from vrestore.registry import BACKBONES, LOSSES, MODELS
from vrestore.restorers.framewise import FramewiseRestorer
from vrestore.restorers.regression import RegressionRestorer

UNSHARPENED = "hq_unsharpened"  # of a batch: the clean clips before UnsharpMask(keep=True)


@MODELS.register_module()
class AdversarialRestorer(RegressionRestorer):
    """A clip-to-clip network whose training goes on against a discriminator, as RealBasicVSR's second stage does.

    It restores as a `RegressionRestorer`: discriminator and losses are built, and the weights of the perceptual loss
    fetched, by `build_for_training` alone. Checkpoints of a run hold the discriminator; what is exported does not.

    Each iteration of a training makes a step of the generator, on pixel, auxiliary, perceptual and adversarial loss
    with the discriminator frozen, then one of the discriminator on clean frames and the same restored ones. The
    optimisers are ``optim_wrapper=dict(generator=dict(optimizer=…), discriminator=dict(optimizer=…))``.

    Args:
        backbone: config of the generator (BACKBONES): ``net(lq_BTCHW) -> hq_BTCHW``.
        discriminator: config of the discriminator (BACKBONES): ``net(frames_NCHW) -> scores``.
        gan_loss: config of the adversarial loss (LOSSES): ``loss(scores, target_is_real, is_disc)``.
        perceptual_loss: config of a loss with `prepare` and `parts` (LOSSES: `PerceptualLoss`); None is none.
        disc_steps: steps of the discriminator for one of the generator.
        disc_init_steps: steps that the discriminator makes alone at first.
        unsharpened_for: losses (``gan``, ``pixel``, ``perceptual``, or the name of an auxiliary one) that see the clean
            clips as they were before `UnsharpMask(keep=True)` among the dataset's transforms; without that all see what
            there is. The default is Real-ESRGAN's and RealBasicVSR's.
        restorer: what `RegressionRestorer` takes.

    Raises:
        ConfigError: a number out of range, or a loss that there is not; from `build_for_training`: no discriminator or
            adversarial loss.
    """

    averaged_part = "backbone"
    optimised_parts = ("generator", "discriminator")
    discriminator: Any
    gan_loss: Any
    perceptual_loss: Any

    step_counter: Tensor

    def __init__(
        self,
        backbone: dict,
        discriminator: dict | None = None,
        gan_loss: dict | None = None,
        perceptual_loss: dict | None = None,
        disc_steps: int = 1,
        disc_init_steps: int = 0,
        unsharpened_for: Sequence[str] = ("gan",),
        **restorer: Any,
    ):
        super().__init__(backbone, **restorer)
        for name, value, least in (("disc_steps", disc_steps, 1), ("disc_init_steps", disc_init_steps, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"{type(self).__name__}: {name} must be a whole number >= {least}, got {value!r}")
        losses = ["gan", "pixel", "perceptual", *self.auxiliary_losses]
        unknown = [name for name in unsharpened_for if name not in losses]
        if isinstance(unsharpened_for, str) or unknown:
            raise ConfigError(
                f"{type(self).__name__}: unsharpened_for must be a list of {', '.join(losses)}, got {unsharpened_for!r}"
            )
        self.discriminator = self.gan_loss = self.perceptual_loss = None  # until `build_for_training`
        self._training_cfg: dict[str, Any] = {
            "discriminator": discriminator,
            "gan_loss": gan_loss,
            "perceptual_loss": perceptual_loss,
        }
        self.disc_steps, self.disc_init_steps = disc_steps, disc_init_steps
        self.unsharpened_for = tuple(unsharpened_for)

    @property
    def generator(self) -> nn.Module:
        """The network, as the optimiser's config calls it."""
        return self.backbone

    def build_for_training(self) -> None:
        if self.discriminator is not None:
            return
        for name in ("discriminator", "gan_loss"):
            if self._training_cfg[name] is None:
                raise ConfigError(f"{type(self).__name__} needs {name}=dict(type='…', …) to train")
        self.gan_loss = LOSSES.build(self._training_cfg["gan_loss"])
        if self._training_cfg["perceptual_loss"] is not None:
            self.perceptual_loss = LOSSES.build(self._training_cfg["perceptual_loss"])
            self.perceptual_loss.prepare()
        self.discriminator = BACKBONES.build(self._training_cfg["discriminator"])
        self.register_buffer("step_counter", torch.zeros((), dtype=torch.long))

    def check_training_size(self, height: int, width: int) -> None:
        cfg = self._training_cfg["discriminator"] or {}
        multiple = getattr(BACKBONES.get(str(cfg.get("type"))), "size_multiple", 1)
        if height % multiple or width % multiple:
            near = [(h, w) for h, w in (_multiples(height, width, multiple, up) for up in (False, True)) if h and w]
            raise RequestError(
                f"training clips of {height}x{width} pixels (height x width) do not fit the discriminator "
                f"{cfg['type']}: their sides must be multiples of {multiple}; nearest: crop_px="
                f"{' or '.join(map(str, near))}"
            )
        super().check_training_size(height, width)

    def generator_is_due(self, step: int) -> bool:
        """Whether the generator trains in a step, counted from 0."""
        return step >= self.disc_init_steps and (step + 1) % self.disc_steps == 0

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One iteration: the generator, where it is due, then the discriminator.

        Args:
            data: a batch; with ``hq_unsharpened`` beside ``hq`` see `unsharpened_for`.
            optim_wrapper: the optimisers, ``generator`` and ``discriminator``.

        Returns:
            What is logged: ``loss`` (the generator's whole), its parts, ``loss_d_real`` and ``loss_d_fake``, and the
            mean scores of clean and restored frames. Where the generator is not due its losses are measured all the
            same.
        """
        if self.discriminator is None:
            raise ConfigError(
                f"{type(self).__name__}: call build_for_training() first, before a training step and before its "
                f"optimisers are made"
            )
        generator, discriminator = optim_wrapper["generator"], optim_wrapper["discriminator"]
        for part in (generator, discriminator):
            part.stepped = False
        due = self.generator_is_due(int(self.step_counter) // discriminator._accumulative_counts)
        batch = self.data_preprocessor(data, True)
        lq, targets = batch["lq"], self._targets(batch["hq"], batch.get(UNSHARPENED))
        with generator.optim_context(self), torch.set_grad_enabled(due), judging(self.discriminator, learning=due):
            prediction, losses = self.generator_losses(lq, targets)
        total, told = self.parse_losses(losses)
        if due:
            generator.update_params(total)
        with discriminator.optim_context(self):
            losses, scores = self.discriminator_losses(prediction.detach(), targets["gan"])
        total, judged = self.parse_losses(losses)
        discriminator.update_params(total)
        self.step_counter += 1
        return {**told, **{name: value for name, value in judged.items() if name != "loss"}, **scores}

    def generator_losses(self, lq: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The restored clips, and what the generator loses over them.

        Args:
            lq: degraded clips (B, T, 3, h, w).
            targets: the clean clips that each loss sees.
        """
        prediction, intermediates = self.predict_clips(lq)
        losses = self.regression_losses(prediction, intermediates, lq, targets["pixel"], targets)
        if self.perceptual_loss is not None:
            parts = self.perceptual_loss.parts(prediction, targets["perceptual"])
            losses |= {f"loss_{name}": value for name, value in parts.items()}
        losses["loss_gan"] = self.gan_loss(self.discriminator(prediction.flatten(0, 1)), True)
        return prediction, losses

    def discriminator_losses(self, restored: Tensor, clean: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the discriminator loses over clips (B, T, 3, H, W), and its mean scores."""
        real = self.discriminator(clean.flatten(0, 1))
        fake = self.discriminator(restored.flatten(0, 1))
        losses = {
            "loss_d_real": self.gan_loss(real, True, is_disc=True),
            "loss_d_fake": self.gan_loss(fake, False, is_disc=True),
        }
        return losses, {"score_real": real.detach().float().mean(), "score_fake": fake.detach().float().mean()}

    def loss(self, lq: Tensor, hq: Tensor, record: list | None = None) -> dict[str, Tensor]:
        """The generator's losses; before `build_for_training` those that need no discriminator."""
        if self.discriminator is None:
            return super().loss(lq, hq, record)
        return self.generator_losses(lq, self._targets(hq, None))[1]

    def _targets(self, hq: Tensor, unsharpened: Tensor | None) -> dict[str, Tensor]:
        names = ("gan", "pixel", "perceptual", *self.auxiliary_losses)
        return {n: unsharpened if unsharpened is not None and n in self.unsharpened_for else hq for n in names}


@MODELS.register_module()
class FramewiseAdversarialRestorer(AdversarialRestorer, FramewiseRestorer):
    """The same for a network of single images, as Real-ESRGAN is trained; it restores as a `FramewiseRestorer`.

    Args:
        backbone: config of the generator (BACKBONES): ``net(x_NCHW) -> y_NCHW``.
        discriminator, gan_loss, perceptual_loss, disc_steps, disc_init_steps, unsharpened_for: see
            `AdversarialRestorer`.
        restorer: what `FramewiseRestorer` takes.
    """


def _multiples(height: int, width: int, of: int, up: bool) -> tuple[int, int]:
    rows, columns = (-(-side // of) if up else side // of for side in (height, width))
    return rows * of, columns * of


@contextmanager
def judging(discriminator: nn.Module, learning: bool) -> Iterator[None]:
    """Inside, no gradient reaches the discriminator's weights; where nothing is learnt, its buffers rest as well."""
    trained = [p for p in discriminator.parameters() if p.requires_grad]
    was_training = discriminator.training
    for parameter in trained:
        parameter.requires_grad_(False)
    discriminator.train(was_training and learning)
    try:
        yield
    finally:
        discriminator.train(was_training)
        for parameter in trained:
            parameter.requires_grad_(True)
