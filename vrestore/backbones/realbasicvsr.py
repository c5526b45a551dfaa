"""RealBasicVSR (Chan et al., CVPR 2022, arXiv 2111.12704), with the parameter names of MMagic's release."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

from vrestore.backbones.basicvsr import BasicVSR
from vrestore.layers.residual import ResidualBlocksWithInputConv, he_init
from vrestore.registry import BACKBONES

MOST_PASSES = 3
PIXELS_AT_A_TIME = 2**20  # of the frames that are cleaned in one call


@BACKBONES.register_module()
class RealBasicVSR(nn.Module):
    """Clean a clip frame by frame, as often as it needs, then upsample it by BasicVSR; x4, for real-world videos.

    Args:
        mid_channels: feature channels.
        num_propagation_blocks: residual blocks of each direction of BasicVSR.
        num_cleaning_blocks: residual blocks of the cleaning module.
        dynamic_refine_thres: the cleaning of a clip stops when the mean size of its residue falls below this, in values
            of 0 to 255; 3 passes at most. The default practically stops after one.
        is_fix_cleaning: train BasicVSR alone, on a cleaning module that is trained already.
        is_sequential_cleaning: clean one frame after the other: slower, less memory, the same frames.
        hr_channels: feature channels after the second upsampling (official: 64).
        spynet: config of the flow network (BACKBONES); None is the official SPyNet.
        cpu_cache_length: see `BasicVSR`.
    """

    scale = 4

    def __init__(
        self,
        mid_channels: int = 64,
        num_propagation_blocks: int = 20,
        num_cleaning_blocks: int = 20,
        dynamic_refine_thres: float = 255,
        is_fix_cleaning: bool = False,
        is_sequential_cleaning: bool = False,
        hr_channels: int = 64,
        spynet: dict | None = None,
        cpu_cache_length: int = 100,
    ):
        super().__init__()
        self.dynamic_refine_thres = dynamic_refine_thres
        self.is_sequential_cleaning = is_sequential_cleaning
        blocks = ResidualBlocksWithInputConv(3, mid_channels, num_cleaning_blocks)
        he_init(blocks.main[0], slope=0.1)
        to_residue = nn.Conv2d(mid_channels, 3, 3, 1, 1)
        he_init(to_residue, scale=0.0)  # cleaning starts as "leave it as it is"
        self.image_cleaning = nn.Sequential(blocks, to_residue)
        if is_fix_cleaning:
            self.image_cleaning.requires_grad_(False)
        self.basicvsr = BasicVSR(mid_channels, num_propagation_blocks, hr_channels, spynet, cpu_cache_length)

    def forward(
        self, lq: Tensor, return_lqs: bool = False, return_intermediates: bool = False
    ) -> Tensor | tuple[Tensor, Tensor] | tuple[Tensor, dict[str, Tensor]]:
        """Clean clips and upsample them by 4.

        Args:
            lq: clips (B, T, 3, h, w), RGB in [0, 1], T >= 1; never changed.
            return_lqs: also return the cleaned clips, as the official network does.
            return_intermediates: instead also return a dict with ``cleaned`` (B, T, 3, h, w) and BasicVSR's flows.

        Returns:
            Clips (B, T, 3, 4h, 4w), not clamped.
        """
        cleaned = self.clean(lq)
        hq, flows = self.basicvsr(cleaned, return_intermediates=True)
        if return_intermediates:
            return hq, {"cleaned": cleaned, **flows}
        return (hq, cleaned) if return_lqs else hq

    def clean(self, lq: Tensor) -> Tensor:
        """Cleaned clips (B, T, 3, h, w). Each clip has as many passes as it needs, whatever stands beside it."""
        cleaned = lq
        unclean = torch.arange(len(lq), device=lq.device)
        for _ in range(MOST_PASSES):
            clips = cleaned[unclean]
            residue = self._residue(clips)
            cleaned = cleaned.index_copy(0, unclean, (clips + residue).to(cleaned.dtype))
            size = residue.detach().float().abs().mean(dim=(1, 2, 3, 4))
            # The official network stops where it is below; a size that is no number goes on there as well.
            unclean = unclean[~(size < self.dynamic_refine_thres / 255)]
            if len(unclean) == 0:
                break
        return cleaned

    def _residue(self, clips: Tensor) -> Tensor:
        b, t, _, h, w = clips.shape
        # Frames do not see each other here, so a long clip need not be in the blocks all at once.
        at_a_time = 1 if self.is_sequential_cleaning else max(PIXELS_AT_A_TIME // (h * w), 1)
        residues = [self.image_cleaning(frames) for frames in clips.flatten(0, 1).split(at_a_time)]
        return torch.cat(residues).unflatten(0, (b, t))
