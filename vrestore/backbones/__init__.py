"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from vrestore.backbones.basicvsr import BasicVSR
from vrestore.backbones.basicvsr_plusplus import BasicVSRPlusPlus
from vrestore.backbones.spynet import SPyNet
from vrestore.backbones.unet3d import UNet3D

__all__ = ["BasicVSR", "BasicVSRPlusPlus", "SPyNet", "UNet3D"]
