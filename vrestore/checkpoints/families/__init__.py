"""The architectures whose weights `load_network` knows; importing a family registers it."""

from vrestore.checkpoints.families import basicvsr, openclip, rife, vae, venhancer, videoinr, zooming_slowmo

__all__ = ["basicvsr", "openclip", "rife", "vae", "venhancer", "videoinr", "zooming_slowmo"]
