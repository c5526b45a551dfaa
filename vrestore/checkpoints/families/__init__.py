"""The architectures whose weights `load_network` knows; importing a family registers it."""

from vrestore.checkpoints.families import basicvsr, openclip, realesrgan, swinir, vae, venhancer

__all__ = ["basicvsr", "openclip", "realesrgan", "swinir", "vae", "venhancer"]
