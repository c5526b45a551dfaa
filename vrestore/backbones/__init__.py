"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from vrestore.backbones.basicvsr import BasicVSR
from vrestore.backbones.ifnet import IFNet
from vrestore.backbones.rife import RIFE
from vrestore.backbones.spynet import SPyNet
from vrestore.backbones.unet3d import UNet3D
from vrestore.backbones.videoinr import VideoINR
from vrestore.backbones.zooming_slowmo import ZoomingSlowMo

__all__ = ["RIFE", "BasicVSR", "IFNet", "SPyNet", "UNet3D", "VideoINR", "ZoomingSlowMo"]
