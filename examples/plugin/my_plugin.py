"""A degradation, a backbone and a metric of one's own: whoever imports this file can name them in a config."""

from torch import nn

from vrestore.degradations.base import Degradation
from vrestore.evaluation.metric import Metric
from vrestore.registry import BACKBONES, DEGRADATIONS, METRICS


@DEGRADATIONS.register_module()
class Haze(Degradation):
    """White haze over the whole clip, its density drawn between `least` and `most`."""

    def __init__(self, least: float = 0.4, most: float = 0.6):
        self.least, self.most = least, most

    def __call__(self, frames_TCHW, rng):
        density = float(rng.uniform(self.least, self.most))
        return frames_TCHW * (1 - density) + density, {"name": "Haze", "scale": 1, "density": density}


@BACKBONES.register_module()
class TwoConvolutions(nn.Module):
    """Two convolutions over space and time, added to the input: (B, T, 3, H, W) -> the same."""

    def __init__(self, channels: int = 16):
        super().__init__()
        self.first, self.second = nn.Conv3d(3, channels, 3, padding=1), nn.Conv3d(channels, 3, 3, padding=1)

    def forward(self, lq_BTCHW):
        return lq_BTCHW + self.second(self.first(lq_BTCHW.transpose(1, 2)).relu()).transpose(1, 2)


@METRICS.register_module()
class MeanError(Metric):
    """Mean absolute error in levels of 8 bit, a number a frame."""

    metric, unit, higher_is_better = "MeanError", "levels", False

    @property
    def protocol(self):
        return self.base_protocol(colour="RGB", rounding="none")

    def score(self, pred_TCHW, hq_TCHW):
        return (pred_TCHW - hq_TCHW).abs().mean(dim=(1, 2, 3)).mul(255).tolist()
