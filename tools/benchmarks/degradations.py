"""Clips a second of the real-world video pipeline, against basicsr's kernels, filter, noise and JPEG on the same draws.

    python tools/benchmarks/degradations.py --clips 30 --out docs/results/degradations.json

Every step of `configs/degradations/realbasicvsr.py` runs on a clip; then basicsr's functions do the same to the same
frames, with the parameters that the step has recorded, and what does not draw is compared. basicsr has neither resizing
nor video codecs: there both sides run the same code. Times are processor seconds of one thread.

basicsr 1.4.2 installs with `pip install --no-deps --no-build-isolation basicsr==1.4.2` beside torch, torchvision,
scipy, opencv-python, tqdm, requests, future, lmdb and scikit-image.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from vrestore.config import find_recipe, load_config
from vrestore.data.benchmarks.bundled import BundledClips
from vrestore.data.clips import load_clips
from vrestore.degradations import Chance, Compose, Degradation, UnsharpMask
from vrestore.degradations.filtering import _direct, filter_frames
from vrestore.degradations.random_resize import resize
from vrestore.degradations.video_codec import recode
from vrestore.evaluation.environment import describe_environment
from vrestore.registry import DEGRADATIONS

SHARED = ("RandomResize", "ResizeTo", "VideoCompression", "Quantise")  # the same code on both sides
TOLERANCE = {"RandomBlur": 2e-5, "JPEGCompression": 2e-2, "UnsharpMask": 1e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of clips (default: a camera over scikit-image's photographs)")
    parser.add_argument("--clips", type=int, default=20, help="clips to degrade")
    parser.add_argument("--frames", type=int, default=15, help="frames of a clip")
    parser.add_argument("--crop", type=int, default=256, help="side of a clip in pixels")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    import cv2

    cv2.setNumThreads(1)
    reference = BasicSR()
    clips = footage(args)
    torch.set_grad_enabled(False)  # basicsr's tables are parameters
    console, results = Console(), {}
    for coder in ("opencv", "simulated"):
        clock = Clock(reference)
        chain = timed(pipeline(coder), clock)
        for seed in range(3):  # kernels compiled, tables made
            chain(clips[seed % len(clips)], np.random.default_rng(seed))
        clock.reset()
        for seed in track(range(args.clips), f"JPEG coder '{coder}'", console=console, transient=True):
            chain(clips[seed % len(clips)], np.random.default_rng(seed))
        results[coder] = clock.summary(args.clips)
        console.print(as_table(coder, results[coder]))
    results["unsharp_mask"] = sharpening(clips[0], reference)
    console.print("unsharp mask of a clip: {ours:.3f} s, basicsr {basicsr:.3f} s".format(**results["unsharp_mask"]))
    results["against_pytorch"] = quick_paths(clips[0])
    for name, row in results["against_pytorch"].items():
        console.print(f"{name}: {row['ours'] * 1e3:.1f} ms, PyTorch {row['pytorch'] * 1e3:.1f} ms, {row['drift']:.1e}")
    if args.out:
        settings = {
            "clips": args.clips,
            "frames": args.frames,
            "crop_px": args.crop,
            "data": str(args.data or "bundled"),
        }
        report = {"settings": settings, "results": results, "environment": describe_environment(torch.device("cpu"))}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def pipeline(coder: str) -> Compose:
    recipe = json.loads(json.dumps(find_recipe(load_config("degradations/realbasicvsr"), "realbasicvsr")))
    for step in recipe["steps"]:
        if step["type"] == "JPEGCompression":
            step["coder"] = coder
    return DEGRADATIONS.build(recipe)


def footage(args: argparse.Namespace) -> list[Tensor]:
    """Clips (frames, 3, crop, crop) in [0, 1]."""
    if args.data is None:
        dataset = BundledClips(["astronaut", "coffee", "motorcycle"], n_frames=args.frames, size=args.crop)
        return [sample["hq"] for sample in dataset]
    found = []
    for clip in load_clips(args.data):
        if clip.n_frames >= args.frames and min(clip.height, clip.width) >= args.crop:
            top, left = (clip.height - args.crop) // 2, (clip.width - args.crop) // 2
            frames = clip.read(0, args.frames)[..., top : top + args.crop, left : left + args.crop]
            found.append(frames.float().div(255))
    if not found:
        sys.exit(f"no clip under {args.data} has {args.frames} frames of {args.crop} pixels a side")
    return found


class Clock:
    """Seconds of every kind of step, on both sides."""

    def __init__(self, reference: BasicSR):
        self.reference = reference
        self.reset()

    def reset(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.differences: dict[str, float] = defaultdict(float)

    def step(self, step: Degradation, frames: Tensor, rng: np.random.Generator) -> tuple[Tensor, dict[str, Any]]:
        begin = time.process_time()
        out, record = step(frames, rng)
        middle = time.process_time()
        other = self.reference(frames, record, out.shape[-2:])
        end = time.process_time()
        name = record["name"]
        if name in SHARED:  # one measurement for both, so that its noise favours neither
            mean = (end - begin) / 2
            begin, middle, end = 0, mean, 2 * mean
        self.seconds[name][0] += middle - begin
        self.seconds[name][1] += end - middle
        if name in TOLERANCE:
            self.differences[name] = max(self.differences[name], float((out - other).abs().mean()))
            assert self.differences[name] <= TOLERANCE[name], f"{name} differs: {record}"
        return out, record

    def summary(self, clips: int) -> dict[str, Any]:
        rows = {
            name: {"ours": ours / clips, "basicsr": theirs / clips} for name, (ours, theirs) in self.seconds.items()
        }
        totals = {}
        for label, left_out in (("whole pipeline", ()), ("without the video codecs", ("VideoCompression",))):
            ours, theirs = (sum(row[k] for n, row in rows.items() if n not in left_out) for k in ("ours", "basicsr"))
            totals[label] = {"ours": 1 / ours, "basicsr": 1 / theirs, "ratio": theirs / ours}
        return {"seconds_a_clip": rows, "clips_a_second": totals, "mean_difference": dict(self.differences)}


class Timed(Degradation):
    """A step that is measured."""

    def __init__(self, step: Degradation, clock: Clock):
        self.inner, self.clock = step, clock
        self.scale, self.draws_size, self.sets_size = step.scale, step.draws_size, step.sets_size

    def for_input(self, height: int, width: int) -> Timed:
        return Timed(self.inner.for_input(height, width), self.clock)

    def __call__(self, frames_TCHW: Tensor, rng: np.random.Generator) -> tuple[Tensor, dict[str, Any]]:
        return self.clock.step(self.inner, frames_TCHW, rng)


def timed(step: Degradation, clock: Clock) -> Degradation:
    """The chain with all that it is made of measured."""
    if isinstance(step, Compose):
        step.steps = [timed(inner, clock) for inner in step.steps]
        return step
    if isinstance(step, Chance):
        step.step = timed(step.step, clock)
        return step
    return Timed(step, clock)


class BasicSR:
    """The same steps by basicsr's functions; what those lack, by ours."""

    def __init__(self) -> None:
        try:
            import torchvision.transforms.functional as functional

            # The module that basicsr imports is gone from torchvision.
            alias: Any = types.ModuleType("torchvision.transforms.functional_tensor")
            alias.rgb_to_grayscale = functional.rgb_to_grayscale
            sys.modules.setdefault(alias.__name__, alias)
            from basicsr.data import degradations
            from basicsr.utils.diffjpeg import DiffJPEG
            from basicsr.utils.img_process_util import USMSharp, filter2D
        except ImportError as error:
            sys.exit(f"this benchmark compares with basicsr, which cannot be imported ({error}); see --help")
        self.functions, self.filter2D = degradations, filter2D
        self.jpeg, self.sharpen = DiffJPEG(differentiable=False), USMSharp()

    def __call__(self, frames: Tensor, record: dict[str, Any], size: torch.Size) -> Tensor:
        n_frames, name = len(frames), record["name"]
        if name == "RandomBlur":
            kernels = np.stack([self.kernel(record, t) for t in range(n_frames)])
            return self.filter2D(frames.contiguous(), torch.from_numpy(kernels).float()).clamp_(0, 1)
        if name == "RandomNoise":
            add = getattr(self.functions, f"add_{record['kind']}_noise_pt")
            key = "sigma" if record["kind"] == "gaussian" else "scale"
            strength = frames.new_tensor(values(record.get("sigma", record.get("poisson_scale")), n_frames))
            gray = torch.full((n_frames,), float(record["gray"]))
            return add(frames, **{key: strength}, gray_noise=gray, clip=True, rounds=False)
        if name == "JPEGCompression":
            quality = values(record["quality"], n_frames)
            if record["coder"] == "simulated":
                return self.jpeg(frames, quality=torch.tensor(quality))
            images = frames.permute(0, 2, 3, 1).flip(-1).numpy()
            add = self.functions.add_jpg_compression
            # It hands floating point images to OpenCV, which truncates them, with a warning; rounded ones stay.
            coded = [
                add(np.ascontiguousarray(i * 255).round() / 255, int(q)) for i, q in zip(images, quality, strict=True)
            ]
            return torch.from_numpy(np.stack(coded)).flip(-1).permute(0, 3, 1, 2)
        if name == "RandomResize":
            return _resized(frames, values(record["factor"], n_frames), record["op"])
        if name == "ResizeTo":
            return resize(frames, tuple(size), record["op"]).clamp(0, 1)
        if name == "VideoCompression":
            from fractions import Fraction

            return recode(frames, record["codec"], record["bitrate"], Fraction(1))
        return frames.mul(255).round_().div_(255)

    def kernel(self, record: dict[str, Any], t: int) -> np.ndarray:
        f, size, kind = self.functions, record["kernel_size"], record["kind"]
        if kind == "sinc":
            return f.circular_lowpass_kernel(at(record["omega"], t), size)
        sigma = at(record["sigma_x"], t)
        isotropic = "aniso" not in kind
        shape = (size, sigma, at(record.get("sigma_y", sigma), t), at(record.get("angle", 0), t))
        if "beta" not in record:
            return f.bivariate_Gaussian(*shape, isotropic=isotropic)
        make = f.bivariate_generalized_Gaussian if kind.startswith("generalised") else f.bivariate_plateau
        return make(*shape, at(record["beta"], t), isotropic=isotropic)


def _resized(frames: Tensor, factors: list[float], op: str) -> Tensor:
    sizes = [tuple(max(int(side * f) // 2 * 2, 2) for side in frames.shape[-2:]) for f in factors]
    each = [resize(resize(frame[None], own, op), sizes[0], op) for frame, own in zip(frames, sizes, strict=True)]
    return torch.cat(each).clamp_(0, 1)


def at(value: Any, t: int) -> float:
    return value[t] if isinstance(value, list) else value


def values(value: Any, n_frames: int) -> list[float]:
    return [float(at(value, t)) for t in range(n_frames)]


def sharpening(clip: Tensor, reference: BasicSR) -> dict[str, float]:
    """Seconds for the unsharp mask of a clip's first frames, scaled to all of it, and how much both differ."""
    part = clip[:3]
    begin = time.process_time()
    ours, _ = UnsharpMask()(part, np.random.default_rng(0))
    middle = time.process_time()
    theirs = reference.sharpen(part)
    end = time.process_time()
    # Where a difference meets the threshold of the mask within rounding, both may decide differently.
    difference = float((ours - theirs).abs().mean())
    assert difference <= TOLERANCE["UnsharpMask"], difference
    share = len(clip) / len(part)
    return {"ours": (middle - begin) * share, "basicsr": (end - middle) * share, "mean_difference": difference}


def quick_paths(clip: Tensor, rounds: int = 5) -> dict[str, dict[str, float]]:
    """Seconds for a clip of what goes through OpenCV on the CPU, and through PyTorch; drift: the largest difference."""
    tasks: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {}
    for op in ("bilinear", "bicubic"):
        for factor in (0.5, 1.3):
            size = tuple(round(side * factor) for side in clip.shape[-2:])
            tasks[f"{op} x{factor}"] = (partial(resize, clip, size, op), partial(F.interpolate, clip, size, mode=op))
    for side in (5, 9):
        kernels = np.random.default_rng(side).random((len(clip), side, side))
        kernels /= kernels.sum((1, 2), keepdims=True)
        tasks[f"kernels {side}x{side}"] = (partial(filter_frames, clip, kernels), partial(_direct, clip, kernels))
    rows = {}
    for name, both in tasks.items():
        results, seconds = [run() for run in both], []
        for run in both:
            begin = time.process_time()
            for _ in range(rounds):
                run()
            seconds.append((time.process_time() - begin) / rounds)
        rows[name] = {"ours": seconds[0], "pytorch": seconds[1], "drift": float((results[0] - results[1]).abs().max())}
    return rows


def as_table(coder: str, result: dict[str, Any]) -> Table:
    table = Table("step", "ours", "basicsr", "ratio", title=f"JPEG coder '{coder}': milliseconds a clip")
    for name, row in sorted(result["seconds_a_clip"].items(), key=lambda item: -item[1]["basicsr"]):
        ratio = "same code" if name in SHARED else f"{row['basicsr'] / row['ours']:.1f}"
        table.add_row(name, f"{row['ours'] * 1e3:.1f}", f"{row['basicsr'] * 1e3:.1f}", ratio)
    table.add_section()
    for name, row in result["clips_a_second"].items():
        table.add_row(f"clips a second, {name}", f"{row['ours']:.2f}", f"{row['basicsr']:.2f}", f"{row['ratio']:.2f}")
    return table


if __name__ == "__main__":
    main()
