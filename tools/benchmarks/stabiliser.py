"""What the temporal stabiliser of `FramewiseRestorer` changes: flicker, fidelity and sharpness.

    python tools/benchmarks/stabiliser.py --weights x4plus.safetensors animevideov3.safetensors \
        --data ../shared/data --out docs/results/stabiliser.json --picture docs/images/temporal_profile.png

Every clip is a short crop of the centre. Those of `bench` are reduced four times (bicubic, as MATLAB) and have a ground
truth; those of `real_lq` are restored as they are. Each network restores a clip once, frame by frame; the settings of
the stabiliser are applied to the same restored frames.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
SCALE = 4
SETTINGS: dict[str, dict[str, Any]] = {
    "framewise": {"strength": 0.0},
    "strength 0.5, radius 1": {"strength": 0.5},
    "strength 1, radius 1": {"strength": 1.0},
    "strength 1, radius 2": {"strength": 1.0, "radius": 2},
}
PROFILED = ("strength 0.5, radius 1", "strength 1, radius 2")
NOTES = (
    "E*warp: 1000 x mean squared difference of a frame and the next one warped onto it (RGB in [0, 1]), without "
    "occluded pixels; flow (DIS) of the ground truth, or of the bicubically enlarged input where there is none",
    "tOF: px, against the ground truth",
    "PSNR: dB, Y, no border cropped",
    "sharpness: mean absolute Laplacian of the luma, divided by that of the frames without the stabiliser",
    "seconds: of the stabiliser alone, per frame",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, nargs="+", required=True, help="weight files of x4 networks")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of bench, real_lq")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "stabiliser.json")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "images" / "temporal_profile.png")
    parser.add_argument(
        "--profile", default="building_videolq", help="clip of real_lq for the picture, restored by the last network"
    )
    parser.add_argument("--profile-frames", type=int, default=48)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96), metavar=("H", "W"), help="of the input crop")
    arguments = parser.parse_args()

    from vrestore import load_restorer
    from vrestore.video import read_clip

    rows = []
    for file in arguments.weights:
        restorer = load_restorer(str(file))
        for name, lq, gt in clips(arguments.data, arguments.frames, *arguments.size):
            kind = "real_lq" if gt is None else "bench"
            rows += measure_clip(restorer, lq, gt, {"network": file.stem, "data": kind, "clip": name})
            print(rows[-1], file=sys.stderr)
    data: dict[str, Any] = {"notes": NOTES, "settings": SETTINGS, "input": [arguments.frames, *arguments.size]}
    data |= {"summary": summarise(rows), "rows": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    file = arguments.data / "real_lq" / f"{arguments.profile}.mp4"
    frames = read_clip(file, count=arguments.profile_frames)
    save_profile(restorer, centre(frames, *arguments.size), arguments.picture)
    return 0


def clips(data: Path, frames: int, height: int, width: int):
    """Yield (name, input frames, ground truth or None)."""
    from vrestore.degradations.resize import imresize
    from vrestore.video import read_clip

    for folder in sorted((data / "bench").iterdir()):
        source = folder / "gt.mp4" if (folder / "gt.mp4").exists() else folder / "gt"
        gt = centre(read_clip(source, count=frames), SCALE * height, SCALE * width)
        yield folder.name, imresize(gt, scale=1 / SCALE).clamp(0, 1), gt
    for file in sorted((data / "real_lq").iterdir()):
        yield file.stem, centre(read_clip(file, count=frames), height, width), None


def centre(frames: Tensor, height: int, width: int) -> Tensor:
    top, left = (frames.shape[-2] - height) // 2, (frames.shape[-1] - width) // 2
    return frames[..., top : top + height, left : left + width].clone()


def measure_clip(restorer, lq: Tensor, gt: Tensor | None, row: dict[str, Any]) -> list[dict[str, Any]]:
    from vrestore.degradations.resize import imresize
    from vrestore.restorers.stabiliser import TemporalStabiliser

    bicubic = imresize(lq, scale=SCALE).clamp(0, 1)
    warping = Warping(bicubic if gt is None else gt)
    restored = restorer.restore(lq)
    results = [row | {"setting": "bicubic"} | measures(bicubic, restored, gt, warping)]
    if gt is not None:
        results.append(row | {"setting": "ground truth"} | measures(gt, restored, None, warping))
    for name, options in SETTINGS.items():
        stabiliser = TemporalStabiliser(**options)
        start = time.perf_counter()
        stable = stabiliser(lq, restored).clamp(0, 1)
        seconds = (time.perf_counter() - start) / len(lq)
        values = measures(stable, restored, gt, warping) | {"seconds": round(seconds, 3)}
        results.append(row | {"setting": name} | values)
    return results


def measures(frames: Tensor, framewise: Tensor, gt: Tensor | None, warping: Warping) -> dict[str, float]:
    from vrestore.evaluation.tof import TOF
    from vrestore.registry import METRICS

    values = {"warping_error": warping.error(frames), "sharpness": laplacian(frames) / laplacian(framewise)}
    if gt is not None:
        psnr = METRICS.build({"type": "PSNR", "convert_to": "Y"})
        values["psnr"] = mean(psnr.score(frames, gt))
        values["tof"] = float(np.nanmean(TOF().score(frames, gt)))
    return {key: round(value, 4) for key, value in values.items()}


class Warping:
    """Warping error along the motion of a reference clip."""

    def __init__(self, reference: Tensor):
        from vrestore.layers.dis_flow import DISFlow
        from vrestore.restorers.stabiliser import warp

        flow = DISFlow()
        self.flow = flow(reference[:-1], reference[1:])
        back = flow(reference[1:], reference[:-1])
        warped_back = warp(back, self.flow)
        residual = (self.flow + warped_back).square().sum(1, keepdim=True)
        size = self.flow.square().sum(1, keepdim=True) + warped_back.square().sum(1, keepdim=True)
        self.visible = (residual <= 0.01 * size + 0.5).float()  # Lai et al., ECCV 2018

    def error(self, frames: Tensor) -> float:
        from vrestore.restorers.stabiliser import warp

        squared = (warp(frames[1:], self.flow) - frames[:-1]).square().mean(1, keepdim=True)
        return 1000 * float((squared * self.visible).sum() / self.visible.sum())


def laplacian(frames: Tensor) -> float:
    luma = frames.mean(1)
    inner = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return float((4 * inner - around).abs().mean())


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means by network, kind of clip and setting, and the change against framewise."""
    result = []
    for network in dict.fromkeys(row["network"] for row in rows):
        for kind in ("bench", "real_lq"):
            of_kind = [r for r in rows if r["network"] == network and r["data"] == kind]
            for setting in dict.fromkeys(row["setting"] for row in of_kind):
                chosen = [row for row in of_kind if row["setting"] == setting]
                plain = [row for row in of_kind if row["setting"] == "framewise"]
                keys = [k for k in ("warping_error", "psnr", "tof", "sharpness") if k in chosen[0]]
                values: dict[str, float] = {key: round(mean(row[key] for row in chosen), 4) for key in keys}
                ratio = mean(r["warping_error"] / p["warping_error"] for r, p in zip(chosen, plain, strict=True))
                values["warping_error_ratio"] = round(ratio, 4)
                result.append({"network": network, "data": kind, "setting": setting, **values})
    return result


def save_profile(restorer, lq: Tensor, path: Path, column_px: int = 10) -> None:
    """One column of every frame, side by side over time: bicubic, framewise and stabilised, from top to bottom."""
    from PIL import Image, ImageDraw

    from vrestore.degradations.resize import imresize
    from vrestore.restorers.stabiliser import TemporalStabiliser

    restored = restorer.restore(lq)
    rows = {"input, bicubic": imresize(lq, scale=SCALE), "framewise": restored}
    rows |= {f"stabilised, {name}": TemporalStabiliser(**SETTINGS[name])(lq, restored) for name in PROFILED}
    panels = []
    for label, frames in rows.items():
        column = frames.clamp(0, 1)[..., frames.shape[-1] // 2].permute(2, 0, 1)  # (H, T, 3)
        levels = (column.repeat_interleave(column_px, 1) * 255).round().to(torch.uint8).numpy()
        panel = Image.new("RGB", (levels.shape[1], levels.shape[0] + 16), "white")
        panel.paste(Image.fromarray(levels), (0, 16))
        ImageDraw.Draw(panel).text((2, 2), f"{label}; time from left to right", fill="black")
        panels.append(np.asarray(panel))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(panels)).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
