"""How far a recurrent restorer's result drifts when a clip is restored in blocks instead of whole.

    python tools/benchmarks/chunk_drift.py CLIP [--model NAME] [--block 16] [--overlaps 0 2 4 8]

Prints, for each overlap, the PSNR between the blocked and the whole result (all channels), and the largest difference
in code values of 8 bit.
"""

from __future__ import annotations

import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", help="a clean clip; it is degraded by BIx4 first")
    parser.add_argument("--model", default="basicvsr-small-x4")
    parser.add_argument("--block", type=int, default=16, help="frames of a block")
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0, 2, 4, 8])
    arguments = parser.parse_args()

    import torch

    import vrestore
    from vrestore.degradations import BicubicDown
    from vrestore.video import read_clip

    restorer = vrestore.load_restorer(arguments.model)
    clean = read_clip(arguments.clip)
    clean = clean[..., : clean.shape[-2] // 4 * 4, : clean.shape[-1] // 4 * 4]
    lq, _ = BicubicDown(4)(clean, None)
    whole = restorer.restore(lq)
    print(f"{arguments.clip}: {len(lq)} frames of {lq.shape[-1]}x{lq.shape[-2]}, blocks of {arguments.block}")
    print("| overlap (frames) | PSNR to the whole run (dB) | largest difference (of 255) |\n|---|---|---|")
    for overlap in arguments.overlaps:
        parts = []
        for start in range(0, len(lq), arguments.block):
            first, last = max(start - overlap, 0), min(start + arguments.block + overlap, len(lq))
            part = restorer.restore(lq[first:last])
            parts.append(part[start - first : start - first + arguments.block])
        difference = torch.cat(parts) - whole
        psnr = -10 * torch.log10(difference.double().square().mean()).item()
        print(f"| {overlap} | {psnr:.1f} | {255 * difference.abs().max().item():.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
