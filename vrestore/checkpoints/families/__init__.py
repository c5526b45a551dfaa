"""The architectures whose weights `load_network` knows; importing a family registers it."""

from vrestore.checkpoints.families import (
    basicvsr,
    basicvsr_plusplus,
    discriminator,
    edvr,
    iconvsr,
    openclip,
    realbasicvsr,
    realesrgan,
    rife,
    rvrt,
    swinir,
    vae,
    venhancer,
    vgg,
    videoinr,
    zooming_slowmo,
)

__all__ = [
    "basicvsr",
    "basicvsr_plusplus",
    "discriminator",
    "edvr",
    "iconvsr",
    "openclip",
    "realbasicvsr",
    "realesrgan",
    "rife",
    "rvrt",
    "swinir",
    "vae",
    "venhancer",
    "vgg",
    "videoinr",
    "zooming_slowmo",
]
