"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrestore._lazy import lazy_exports

if TYPE_CHECKING:
    from vrestore.backbones.basicsr_arch import BasicSRArch
    from vrestore.backbones.basicvsr import BasicVSR
    from vrestore.backbones.basicvsr_plusplus import BasicVSRPlusPlus
    from vrestore.backbones.edvr import EDVR
    from vrestore.backbones.iconvsr import IconVSR
    from vrestore.backbones.ifnet import IFNet
    from vrestore.backbones.realbasicvsr import RealBasicVSR
    from vrestore.backbones.rife import RIFE
    from vrestore.backbones.rrdbnet import RRDBNet
    from vrestore.backbones.rvrt import RVRT
    from vrestore.backbones.spandrel_image import SpandrelImageNetwork
    from vrestore.backbones.spynet import SPyNet
    from vrestore.backbones.srvgg import SRVGGNetCompact
    from vrestore.backbones.swinir import SwinIR
    from vrestore.backbones.unet3d import UNet3D
    from vrestore.backbones.unet_discriminator import UNetDiscriminatorSN
    from vrestore.backbones.vgg import VGGFeatures
    from vrestore.backbones.videoinr import VideoINR
    from vrestore.backbones.zooming_slowmo import ZoomingSlowMo

HOMES = {
    "BasicSRArch": "basicsr_arch",
    "BasicVSR": "basicvsr",
    "BasicVSRPlusPlus": "basicvsr_plusplus",
    "EDVR": "edvr",
    "IconVSR": "iconvsr",
    "IFNet": "ifnet",
    "RealBasicVSR": "realbasicvsr",
    "RIFE": "rife",
    "RRDBNet": "rrdbnet",
    "RVRT": "rvrt",
    "SpandrelImageNetwork": "spandrel_image",
    "SPyNet": "spynet",
    "SRVGGNetCompact": "srvgg",
    "SwinIR": "swinir",
    "UNet3D": "unet3d",
    "UNetDiscriminatorSN": "unet_discriminator",
    "VGGFeatures": "vgg",
    "VideoINR": "videoinr",
    "ZoomingSlowMo": "zooming_slowmo",
}

__all__ = [
    "EDVR",
    "RIFE",
    "RVRT",
    "BasicSRArch",
    "BasicVSR",
    "BasicVSRPlusPlus",
    "IFNet",
    "IconVSR",
    "RRDBNet",
    "RealBasicVSR",
    "SPyNet",
    "SRVGGNetCompact",
    "SpandrelImageNetwork",
    "SwinIR",
    "UNet3D",
    "UNetDiscriminatorSN",
    "VGGFeatures",
    "VideoINR",
    "ZoomingSlowMo",
]

__getattr__ = lazy_exports(__name__, HOMES)
