"""VEnhancer (arXiv 2407.07667): the restorer, its frames and canvas, and the rules of the official releases."""

from vrestore.restorers.venhancer.canvas import Canvas, least_canvas, mirror_pad
from vrestore.restorers.venhancer.frames import FramePlan, plan_frames, plan_official_frames
from vrestore.restorers.venhancer.restorer import VEnhancer

__all__ = [
    "Canvas",
    "FramePlan",
    "VEnhancer",
    "least_canvas",
    "mirror_pad",
    "plan_frames",
    "plan_official_frames",
]
