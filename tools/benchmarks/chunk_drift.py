"""How far a recurrent restorer's result drifts when a clip is restored in blocks instead of whole.

    python tools/benchmarks/chunk_drift.py CLIP… [--model NAME] [--block 16] [--overlaps 0 4 8 12]

A CLIP is a file, a folder of frames, or a photograph that scikit-image brings along (astronaut, cat, coffee,
motorcycle), over which a camera is simulated: 32 frames of 160x128. Prints, for each overlap, the PSNR between the
blocked and the whole result (all channels), and the largest difference in code values of 8 bit.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from torch import Tensor

import vrestore
from vrestore.data import BundledClips
from vrestore.data.benchmarks.bundled import PHOTOS
from vrestore.degradations import BicubicDown
from vrestore.video import read_clip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="clean clips; degraded by BIx4 first")
    parser.add_argument("--as-is", action="store_true", help="the clips are degraded already")
    parser.add_argument("--model", default="basicvsr-small-x4")
    parser.add_argument("--block", type=int, default=16, help="frames of a block")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0, 4, 8, 12])
    arguments = parser.parse_args()

    restorer = vrestore.load_restorer(arguments.model)
    print(f"{arguments.model}, blocks of {arguments.block} frames: dB to the whole run (largest difference of 255)\n")
    print(" | ".join(["| clip", *(f"{overlap} frames of context" for overlap in arguments.overlaps)]) + " |")
    print("|---" * (1 + len(arguments.overlaps)) + "|", flush=True)
    for name in arguments.clips:
        if name in PHOTOS:
            clean = BundledClips([name], n_frames=32, size=(128, 160))[0]["hq"]
        else:
            clean = read_clip(name)
        clean = clean[..., : clean.shape[-2] // 4 * 4, : clean.shape[-1] // 4 * 4]
        lq = clean if arguments.as_is else BicubicDown(4)(clean, None)[0]
        whole = restorer.restore(lq)
        cells = [drift(restorer, lq, whole, arguments.block, overlap) for overlap in arguments.overlaps]
        print(" | ".join([f"| {name}, {len(lq)} of {lq.shape[-1]}x{lq.shape[-2]}", *cells]) + " |", flush=True)
    return 0


def drift(restorer: Any, lq: Tensor, whole: Tensor, block: int, overlap: int) -> str:
    parts = []
    for start in range(0, len(lq), block):
        first, last = max(start - overlap, 0), min(start + block + overlap, len(lq))
        part = restorer.restore(lq[first:last])
        parts.append(part[start - first : start - first + block])
    difference = torch.cat(parts) - whole
    psnr = -10 * torch.log10(difference.double().square().mean()).item()
    return f"{psnr:.1f} ({255 * difference.abs().max().item():.1f})"


if __name__ == "__main__":
    sys.exit(main())
