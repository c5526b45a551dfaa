"""Blocks of the 3D UNet of ModelScope's text-to-video models (arXiv 2308.06571), with the release's parameter names.

Frames are folded into the batch, frame fastest: (B*T, C, H, W). What mixes frames takes (B, C, T, H, W).
"""

from vrestore.layers.unet3d.attention import BasicTransformerBlock, CrossAttention, FeedForward
from vrestore.layers.unet3d.embedding import per_sample, sinusoidal_embedding
from vrestore.layers.unet3d.encoder import UNetEncoder, run_part
from vrestore.layers.unet3d.resample import Downsample, Upsample
from vrestore.layers.unet3d.residual import ResBlock, TemporalConvBlock
from vrestore.layers.unet3d.transformers import SpatialTransformer, TemporalTransformer

__all__ = [
    "BasicTransformerBlock",
    "CrossAttention",
    "Downsample",
    "FeedForward",
    "ResBlock",
    "SpatialTransformer",
    "TemporalConvBlock",
    "TemporalTransformer",
    "UNetEncoder",
    "Upsample",
    "per_sample",
    "run_part",
    "sinusoidal_embedding",
]
