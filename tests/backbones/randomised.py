"""Networks whose every parameter matters: fresh ones start at the bilinear base, whatever stands below it."""

import torch

from vrestore.registry import BACKBONES


def randomised(config: dict, noise: float = 0.1, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    net = BACKBONES.build(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * noise)
    return net
