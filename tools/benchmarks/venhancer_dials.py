"""How VEnhancer answers its dials: sharpness, NIQE and PSNR as strength and the told downscale factor go up.

    python tools/benchmarks/venhancer_dials.py [--model venhancer-tiny] [--clips DIR] [--out FILE.json]

Each clip is shrunk by 4 (MATLAB's bicubic), its centre is restored at x4 with one dial turned and the other left where
the model has it. Sharpness is the mean size of the luma's gradient, in values of 0 to 255 a pixel.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from vrestore import load_restorer  # noqa: E402
from vrestore.data import VrestoreBench  # noqa: E402
from vrestore.evaluation import NIQE, PSNR  # noqa: E402
from vrestore.evaluation.environment import describe_environment  # noqa: E402
from vrestore.evaluation.pixels import levels  # noqa: E402
from vrestore.restorers.request import Request  # noqa: E402

STRENGTHS = (0, 75, 150, 225, 300)
DOWNSCALES = (2.0, 3.0, 4.0, 5.0, 6.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="venhancer-tiny", help="zoo name or config")
    parser.add_argument("--weights", help="weights in place of the model's own")
    parser.add_argument(
        "--clips", type=Path, default=ROOT.parent / "shared" / "data" / "bench", help="as VrestoreBench"
    )
    parser.add_argument("--frames", type=int, default=5, help="of each clip")
    parser.add_argument(
        "--crop", type=int, nargs=2, default=(320, 480), metavar=("HEIGHT", "WIDTH"), help="clean pixels"
    )
    parser.add_argument("--out", type=Path, help="where the numbers are written as JSON")
    args = parser.parse_args()
    data = VrestoreBench(args.clips, max_frames=args.frames, crop_to=tuple(args.crop))
    restorer = load_restorer(args.model, weights=args.weights).eval()
    told = restorer.downscale
    plan = [("strength", value, value, told) for value in STRENGTHS]
    plan += [("downscale", value, None, value) for value in DOWNSCALES]
    rows = []
    for dial, value, strength, downscale in track(plan, "dials", console=Console(stderr=True)):
        restorer.downscale = downscale
        request = Request(scale=4, strength=strength)
        scores = []
        for sample in data:
            with torch.no_grad():
                restored = restorer.restore(sample["lq"], request)
            scores.append(
                [sharpness(restored), _mean(NIQE().score(restored)), _mean(PSNR().score(restored, sample["hq"]))]
            )
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        rows.append({"dial": dial, "value": value, **dict(zip(("sharpness", "niqe", "psnr_y"), means, strict=True))})
        print(
            "{dial:>10} {value:>5}: sharpness {sharpness:.3f}, NIQE {niqe:.2f}, PSNR-Y {psnr_y:.2f} dB".format(
                **rows[-1]
            )
        )
    report = {
        "model": args.model,
        "clips": data.clips,
        "frames": args.frames,
        "crop": list(args.crop),
        "environment": describe_environment(torch.device("cpu")),
        "rows": rows,
    }
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def sharpness(frames_TCHW: Tensor) -> float:
    """Mean size of the luma's gradient over all frames, in values of 0 to 255 a pixel."""
    sizes = []
    for frame in frames_TCHW:
        luma = levels(frame, "Y", 0, True)[0]
        down, right = luma[1:, :-1] - luma[:-1, :-1], luma[:-1, 1:] - luma[:-1, :-1]
        sizes.append(float((down.square() + right.square()).sqrt().mean()))
    return _mean(sizes)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
