"""The architectures whose weights `load_network` knows; importing a family registers it."""

from vrestore.checkpoints.families import basicvsr, venhancer

__all__ = ["basicvsr", "venhancer"]
