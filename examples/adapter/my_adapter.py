"""An adapter of one's own in the place of the video ControlNet: whoever imports this file can name it in a config."""

from torch import nn

from vrestore.adapters import BaseAdapter, ControlResiduals, at_key_frames
from vrestore.registry import ADAPTERS


@ADAPTERS.register_module()
class OneConvolution(BaseAdapter):
    """Adds one convolution of the key-frame latents to the UNet's first skip, and nothing anywhere else."""

    def __init__(self, in_dim: int, dim: int):  # asked for by name, and filled in from the UNet
        super().__init__()
        self.to_skip = nn.Conv2d(in_dim, dim, 3, padding=1)
        nn.init.zeros_(self.to_skip.weight)  # begins as if it were not there
        nn.init.zeros_(self.to_skip.bias)

    def forward(self, latents, timesteps, text, key_latents=None, key_frame_index=None, **levels):
        if key_latents is None or key_frame_index is None:
            return ControlResiduals([])
        placed, is_key = at_key_frames(key_latents, key_frame_index)
        return ControlResiduals([self.to_skip(placed.to(self.to_skip.weight.dtype)) * is_key])
