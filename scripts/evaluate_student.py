"""Compare a recurrent student with its teacher and with bicubic on crops of real clips.

    python scripts/evaluate_student.py --clips ../shared/data/real_lq --student realesrgan-student-x4 \\
        --teacher realesrgan-x4plus --out model_zoo/realesrgan_student_x4/results.json

Per clip: mean absolute distances, gradient energy relative to the teacher, the spectral peak at a period of 4 pixels
relative to its neighbours, chroma of a grey input, and the warping error of consecutive frames (DIS flow of the
bicubic frames, where the bicubic frames agree).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import vrestore
from vrestore.video import VideoReader

FIRST, COUNT, SIZE = 10, 6, (80, 96)  # frames and crop (height, width) in pixels of the input


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--student", required=True, help="a model name or weight file")
    parser.add_argument("--teacher", required=True, help="a model name or weight file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="folder for crops at 1:1: bicubic, student, teacher")
    arguments = parser.parse_args()
    student = vrestore.load_restorer(arguments.student, device="cpu")
    teacher = vrestore.load_restorer(arguments.teacher, device="cpu")
    rows = {}
    for path in sorted(arguments.clips.glob("*.mp4")):
        rows[path.stem] = evaluate(path, student, teacher, arguments.pictures)
        print(path.stem, rows[path.stem], flush=True)
    machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    report = {"crop_px": SIZE, "frames": COUNT, "clips": rows, **machine}
    arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def evaluate(path: Path, student, teacher, pictures: Path | None) -> dict[str, float]:
    with VideoReader(path) as reader:
        clip = reader.read(FIRST, COUNT).frames
    h, w = clip.shape[-2:]
    top, left = (h - SIZE[0]) // 2, (w - SIZE[1]) // 2
    clip = clip[..., top : top + SIZE[0], left : left + SIZE[1]]
    start = time.perf_counter()
    s = student.restore(clip)
    seconds = time.perf_counter() - start
    t = teacher.restore(clip)
    b = F.interpolate(clip, scale_factor=4, mode="bicubic", align_corners=False).clamp(0, 1)
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
        picture = torch.cat([b[2], s[2], t[2]], 2).permute(1, 2, 0).numpy()[..., ::-1]
        cv2.imwrite(str(pictures / f"{path.stem}.png"), (picture * 255).round().astype(np.uint8))
    grey = clip.mean(1, keepdim=True).expand_as(clip).contiguous()
    restored = student.restore(grey)
    values = {
        "student_teacher": (s - t).abs().mean().item(),
        "student_bicubic": (s - b).abs().mean().item(),
        "teacher_bicubic": (t - b).abs().mean().item(),
        "gradient_student": gradient(s) / gradient(t),
        "gradient_bicubic": gradient(b) / gradient(t),
        "peak_period_4": peak(s),
        "peak_period_4_teacher": peak(t),
        "grey_chroma": (restored - restored.mean(1, keepdim=True)).abs().mean().item(),
        "warp_student": warping_error(s, b),
        "warp_teacher": warping_error(t, b),
        "warp_bicubic": warping_error(b, b),
        "seconds_per_frame": seconds / COUNT,
    }
    return {name: round(value, 5) for name, value in values.items()}


def gradient(x: Tensor) -> float:
    return ((x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()).item()


def peak(x: Tensor) -> float:
    """Largest ratio of the amplitude at period 4 to its neighbouring frequencies, along rows and columns."""
    luma = x.mean(1).double()
    ratios = []
    for axis in (-1, -2):
        n = luma.shape[axis]
        spectrum = torch.fft.rfft(luma - luma.mean(axis, keepdim=True), dim=axis).abs()
        spectrum = spectrum.mean(dim=[d for d in range(3) if d != axis % 3])
        k = n // 4
        around = torch.cat([spectrum[k - 5 : k - 1], spectrum[k + 2 : k + 6]]).mean()
        ratios.append((spectrum[k] / around).item())
    return max(ratios)


def warping_error(x: Tensor, guide: Tensor) -> float:
    """Mean absolute difference between each frame and its warped successor, where the guide agrees."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    frames = (x * 255).permute(0, 2, 3, 1).numpy()
    guides = (guide * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    grey = [cv2.cvtColor(g, cv2.COLOR_RGB2GRAY) for g in guides]
    grid = np.stack(np.meshgrid(np.arange(x.shape[-1]), np.arange(x.shape[-2])), -1).astype(np.float32)
    errors = []
    for i in range(len(frames) - 1):
        place = grid + dis.calc(grey[i], grey[i + 1], None)
        warp = [cv2.remap(v, place, None, cv2.INTER_LINEAR) for v in (frames[i + 1], guides[i + 1].astype(np.float32))]
        valid = (np.abs(warp[1] - guides[i]).mean(-1) < 10)[8:-8, 8:-8]
        errors.append(np.abs(warp[0] - frames[i]).mean(-1)[8:-8, 8:-8][valid].mean())
    return float(np.mean(errors))


if __name__ == "__main__":
    main()
