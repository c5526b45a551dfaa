"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from vrestore.backbones.basicvsr import BasicVSR
from vrestore.backbones.spynet import SPyNet
from vrestore.backbones.unet3d import UNet3D

__all__ = ["BasicVSR", "SPyNet", "UNet3D"]
