"""Networks: frames or latents in, frames or latents out (BACKBONES)."""

from vrestore.backbones.basicvsr import BasicVSR
from vrestore.backbones.spynet import SPyNet

__all__ = ["BasicVSR", "SPyNet"]
