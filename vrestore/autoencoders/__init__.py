"""Pixels <-> latents (AUTOENCODERS)."""

from vrestore.autoencoders.base import Autoencoder
from vrestore.autoencoders.identity import IdentityAutoencoder
from vrestore.autoencoders.sd_vae import SDVAE
from vrestore.autoencoders.temporal_vae import TemporalVAE
from vrestore.autoencoders.tiling import Tiling
from vrestore.autoencoders.tiny_vae import TinyVAE
from vrestore.autoencoders.wavelet import WaveletAutoencoder

__all__ = ["SDVAE", "Autoencoder", "IdentityAutoencoder", "TemporalVAE", "Tiling", "TinyVAE", "WaveletAutoencoder"]
