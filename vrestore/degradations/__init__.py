"""Clean clip -> degraded clip, seeded and recorded (DEGRADATIONS)."""

from vrestore.degradations.base import Degradation, Identity
from vrestore.degradations.bicubic_down import BicubicDown
from vrestore.degradations.blur_down import BlurDown
from vrestore.degradations.compose import Compose
from vrestore.degradations.resize import imresize

__all__ = ["BicubicDown", "BlurDown", "Compose", "Degradation", "Identity", "imresize"]
