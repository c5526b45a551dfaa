"""The architectures whose weights `load_network` knows; importing a family registers it."""

from vrestore.checkpoints.families import (
    basicvsr,
    basicvsr_plusplus,
    edvr,
    iconvsr,
    openclip,
    realbasicvsr,
    realesrgan,
    swinir,
    vae,
    venhancer,
)

__all__ = [
    "basicvsr",
    "basicvsr_plusplus",
    "edvr",
    "iconvsr",
    "openclip",
    "realbasicvsr",
    "realesrgan",
    "swinir",
    "vae",
    "venhancer",
]
