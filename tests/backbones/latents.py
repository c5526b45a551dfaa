"""A tiny UNet3D and inputs of its shapes."""

import torch

from vrestore.backbones import UNet3D

TINY = dict(
    **{"dim": 32, "dim_mult": (1, 2), "num_heads": 2, "head_dim": 16, "num_res_blocks": 1},
    **{"attn_scales": (1.0, 0.5), "context_dim": 8},
)
CONTROL = {"type": "VideoControlNet"}


def tiny_unet(seed: int = 0, **arguments) -> UNet3D:
    """With every weight away from zero, so that nothing is hidden by layers that start there."""
    torch.manual_seed(seed)
    net = UNet3D(**{**TINY, **arguments}).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return net


def inputs(batch: int = 2, frames: int = 3, height: int = 6, width: int = 4, seed: int = 1):
    """Latents, timesteps and a text for the tiny UNet."""
    draw = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, 4, frames, height, width, generator=draw)
    return latents, torch.arange(1, batch + 1) * 300, torch.randn(batch, 5, 8, generator=draw)


def conditions(batch: int = 2, keys: int = 2, height: int = 6, width: int = 4, seed: int = 2):
    """Conditions for three frames of which the first and the last are key frames."""
    draw = torch.Generator().manual_seed(seed)
    return {
        "key_latents": torch.randn(batch, 4, keys, height, width, generator=draw),
        "key_frame_index": torch.tensor([[0, -1, 1]] * batch),
        "noise_level": torch.tensor([120, 250][:batch]),
        "downscale": torch.tensor([4.0, 2.5][:batch]),
    }
