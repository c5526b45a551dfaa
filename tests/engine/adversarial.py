"""A tiny adversarial training: TinyNet against a narrow discriminator, with a perceptual loss of random features."""

import torch.nn.functional as F
from torch import Tensor

from tests.engine.parts import TinyClips, TinyNet, tiny_config
from vrestore.registry import BACKBONES, DATASETS

ADAM = {"type": "Adam", "lr": 1e-2, "betas": (0.9, 0.99)}


@BACKBONES.register_module()
class TinyCleaningNet(TinyNet):
    """A TinyNet that can return something beside its frames."""

    def forward(self, lq_BTCHW: Tensor, return_intermediates: bool = False):
        hq = super().forward(lq_BTCHW)
        return (
            (hq, {"cleaned": F.avg_pool2d(hq.flatten(0, 1), 2).unflatten(0, hq.shape[:2])})
            if return_intermediates
            else hq
        )


@DATASETS.register_module()
class TinySharpenedClips(TinyClips):
    """TinyClips with what they were before they were sharpened beside them."""

    def __init__(self, crop_px=8, **settings):
        super().__init__(size=crop_px, **settings)

    def __getitem__(self, draw):
        sample = super().__getitem__(draw)
        return {**sample, "hq_unsharpened": sample["hq"] * 0.5}


def adversarial_config(**changes) -> dict:
    """`tiny_config` with two optimisers; `changes` as there."""
    model = {
        "type": "AdversarialRestorer",
        "backbone": {"type": "TinyCleaningNet"},
        "discriminator": {"type": "UNetDiscriminatorSN", "mid_channels": 2},
        "pixel_loss": {"type": "L1Loss"},
        "auxiliary_losses": {"cleaning": {"type": "CleaningLoss"}},
        "gan_loss": {"type": "GANLoss", "loss_weight": 0.05},
        "least_size_px": 1,
    }
    optim = {
        "generator": {"optimizer": ADAM, "paramwise_cfg": {"custom_keys": {"flow": {"lr_mult": 0.5}}}},
        "discriminator": {"optimizer": {**ADAM, "lr": 2e-2}, "clip_grad": {"max_norm": 1.0}},
    }
    return tiny_config(**{"model": model, "optim_wrapper": optim, **changes})


def perceptual(**changes) -> dict:
    return {
        "type": "PerceptualLoss",
        "layer_weights": {"conv1_2": 0.1, "7": 1.0},
        "channels": (2, 2, 4, 4, 4),
        "untrained": True,
        **changes,
    }
