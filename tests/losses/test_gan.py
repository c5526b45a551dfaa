"""GANLoss: each type against its formula, and the weight on the generator's side alone."""

import math

import pytest
import torch

from vrestore.errors import ConfigError
from vrestore.losses import GANLoss

SCORES = torch.tensor([-2.0, 0.5, 3.0])


def softplus(x):
    return math.log1p(math.exp(x))


FORMULAS = {  # (real, fake) of one score, as the discriminator's loss
    "vanilla": (lambda x: softplus(-x), softplus),
    "lsgan": (lambda x: (x - 1) ** 2, lambda x: x**2),
    "wgan": (lambda x: -x, lambda x: x),
    "wgan_softplus": (lambda x: softplus(-x), softplus),
    "hinge": (lambda x: max(0.0, 1 - x), lambda x: max(0.0, 1 + x)),
}


@pytest.mark.parametrize("gan_type", FORMULAS)
@pytest.mark.parametrize("real", [True, False])
def test_formulas(gan_type, real):
    loss = GANLoss(gan_type, loss_weight=0.1)
    formula = FORMULAS[gan_type][0 if real else 1]
    expected = sum(map(formula, SCORES.tolist())) / len(SCORES)
    assert loss(SCORES, real, is_disc=True).item() == pytest.approx(expected, rel=1e-6)
    if gan_type == "hinge":
        expected = (-1 if real else 1) * SCORES.mean().item()
    assert loss(SCORES, real).item() == pytest.approx(0.1 * expected, rel=1e-5)


def test_labels_can_be_softened():
    loss = GANLoss("lsgan", real_label_val=0.9, fake_label_val=0.1)
    assert loss(SCORES, True, is_disc=True).item() == pytest.approx(((SCORES - 0.9) ** 2).mean().item())
    assert loss(SCORES, False, is_disc=True).item() == pytest.approx(((SCORES - 0.1) ** 2).mean().item())


def test_half_precision_scores_are_summed_in_full():
    assert GANLoss()(SCORES.bfloat16(), True).dtype is torch.float32


def test_an_unknown_type_is_refused():
    with pytest.raises(
        ConfigError, match="gan_type must be one of vanilla, lsgan, wgan, wgan_softplus, hinge, got 'dcgan'"
    ):
        GANLoss("dcgan")
