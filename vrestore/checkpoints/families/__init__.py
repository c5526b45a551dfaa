"""The architectures whose weights `load_network` knows; importing a family registers it."""

from vrestore.checkpoints.families import basicvsr, edvr, iconvsr, openclip, realbasicvsr, vae, venhancer

__all__ = ["basicvsr", "edvr", "iconvsr", "openclip", "realbasicvsr", "vae", "venhancer"]
