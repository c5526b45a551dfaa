"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from vrestore.backbones.basicvsr import BasicVSR
from vrestore.backbones.basicvsr_plusplus import BasicVSRPlusPlus
from vrestore.backbones.edvr import EDVR
from vrestore.backbones.iconvsr import IconVSR
from vrestore.backbones.realbasicvsr import RealBasicVSR
from vrestore.backbones.spynet import SPyNet
from vrestore.backbones.unet3d import UNet3D

__all__ = ["EDVR", "BasicVSR", "BasicVSRPlusPlus", "IconVSR", "RealBasicVSR", "SPyNet", "UNet3D"]
