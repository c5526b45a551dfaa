"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from vrestore.backbones.basicsr_arch import BasicSRArch
from vrestore.backbones.basicvsr import BasicVSR
from vrestore.backbones.rrdbnet import RRDBNet
from vrestore.backbones.spandrel_image import SpandrelImageNetwork
from vrestore.backbones.spynet import SPyNet
from vrestore.backbones.srvgg import SRVGGNetCompact
from vrestore.backbones.swinir import SwinIR
from vrestore.backbones.unet3d import UNet3D

__all__ = [
    "BasicSRArch",
    "BasicVSR",
    "RRDBNet",
    "SPyNet",
    "SRVGGNetCompact",
    "SpandrelImageNetwork",
    "SwinIR",
    "UNet3D",
]
