"""Small networks under the names of the releases."""

import re

import torch
from torch import Tensor

from vrestore.registry import BACKBONES

SMALL_SPYNET = {"type": "SPyNet", "num_levels": 3, "channels": (6, 8, 6, 4), "kernel_size": 5}
SMALL = {"type": "BasicVSR", "mid_channels": 6, "num_blocks": 2, "hr_channels": 5, "spynet": SMALL_SPYNET}


def small_basicvsr(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return BACKBONES.build(SMALL).eval()


# MMagic's names as BasicSR writes them.
BASICSR_NAMES = (
    (r"(^|\.)(backward|forward)_resblocks\.", r"\1\2_trunk."),
    (r"(^|\.)upsample([12])\.upsample_conv\.", r"\1upconv\2."),
    (r"(^|\.)feat_l([23])_conv([12])\.conv\.", r"\1conv_l\2_\3."),
    (r"(^|\.)(offset_conv[123]|feat_conv)\.(l[123])\.conv\.", r"\1\2.\3."),
    (r"(^|\.)(cas_offset_conv[12])\.conv\.", r"\1\2."),
    (r"(^|\.)fusion\.(\w+)\.conv\.", r"\1fusion.\2."),
    (r"(^|\.)pcd_alignment\.", r"\1pcd_align."),
)


def basicsr_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of MMagic as BasicSR writes them."""
    renamed = {}
    for name, value in state.items():
        name = re.sub(r"(basic_module\.\d+\.basic_module)\.(\d)\.conv\.", lambda m: f"{m[1]}.{2 * int(m[2])}.", name)
        for pattern, replacement in BASICSR_NAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def same_weights(left: torch.nn.Module, right: torch.nn.Module) -> bool:
    a, b = left.state_dict(), right.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
