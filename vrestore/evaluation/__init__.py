"""Metrics (METRICS), protocols, the benchmark runner and the report."""

from vrestore.evaluation.lpips import LPIPS
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.niqe import NIQE
from vrestore.evaluation.psnr import PSNR
from vrestore.evaluation.ssim import SSIM
from vrestore.evaluation.tof import TOF

__all__ = ["LPIPS", "NIQE", "PSNR", "SSIM", "TOF", "Metric"]
