"""Official weights -> our modules: detect, rename, load, verify."""

from vrestore.checkpoints.architectures import Architecture, register_architecture
from vrestore.checkpoints.network import load_network

__all__ = ["Architecture", "load_network", "register_architecture"]
