"""Adversarial losses over the scores of a discriminator."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from vrestore.errors import ConfigError
from vrestore.registry import LOSSES

GAN_TYPES = ("vanilla", "lsgan", "wgan", "wgan_softplus", "hinge")


@LOSSES.register_module()
class GANLoss(nn.Module):
    """What generator and discriminator lose over scores, averaged over all of them.

    ``vanilla``: binary cross-entropy of the scores' sigmoid against the labels (Goodfellow et al. 2014). ``lsgan``:
    squared difference to the labels (Mao et al. 2017). ``wgan``: minus the scores of what should look real, plus those
    of what should not (Arjovsky et al. 2017); ``wgan_softplus`` bends both by a softplus (StyleGAN). ``hinge``: scores
    beyond +-1 cost the discriminator nothing (Lim and Ye 2017).

    Args:
        gan_type: one of these.
        real_label_val, fake_label_val: labels of ``vanilla`` and ``lsgan``.
        loss_weight: factor of the generator's loss; the discriminator's has none.

    Raises:
        ConfigError: an unknown type.
    """

    def __init__(
        self,
        gan_type: str = "vanilla",
        real_label_val: float = 1.0,
        fake_label_val: float = 0.0,
        loss_weight: float = 1.0,
    ):
        super().__init__()
        if gan_type not in GAN_TYPES:
            raise ConfigError(f"GANLoss: gan_type must be one of {', '.join(GAN_TYPES)}, got {gan_type!r}")
        self.gan_type, self.loss_weight = gan_type, loss_weight
        self.real_label_val, self.fake_label_val = real_label_val, fake_label_val

    def forward(self, scores: Tensor, target_is_real: bool, is_disc: bool = False) -> Tensor:
        """
        Args:
            scores: of the discriminator, any shape.
            target_is_real: whether they should say "real".
            is_disc: whether the discriminator learns from it (or else the generator).
        """
        loss = self._loss(scores.float(), target_is_real, is_disc)
        return loss if is_disc else self.loss_weight * loss

    def _loss(self, scores: Tensor, target_is_real: bool, is_disc: bool) -> Tensor:
        signed = -scores if target_is_real else scores  # low where it should be
        if self.gan_type == "wgan" or (self.gan_type == "hinge" and not is_disc):
            return signed.mean()
        if self.gan_type == "hinge":
            return F.relu(1 + signed).mean()
        if self.gan_type == "wgan_softplus":
            return F.softplus(signed).mean()
        label = scores.new_full(scores.shape, self.real_label_val if target_is_real else self.fake_label_val)
        if self.gan_type == "lsgan":
            return F.mse_loss(scores, label)
        return F.binary_cross_entropy_with_logits(scores, label)
