"""Train a recurrent student on the outputs of a frame-wise teacher (Real-ESRGAN x4plus).

    python scripts/distil_student.py clips --source ../shared/data/train --out work_dirs/distil/clips
    python scripts/distil_student.py train --clips work_dirs/distil/clips --teacher x4plus.safetensors \\
        --init model_zoo/basicvsr_small_x4/basicvsr_small_x4.safetensors --out work_dirs/distil/run --minutes 6

`clips` degrades crops of clean clips (two-order real-world degradation of RealBasicVSR, or a mild one) and stores the
low-resolution clips. `train` computes the outputs of the teacher once, keeps them in device memory as 8-bit frames, and
minimises an L1 loss, a multi-scale gradient loss and a temporal loss. There is no discriminator: the mapping is
deterministic. The schedule follows the elapsed time, so that a run ends within `--minutes` on any device.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

HELD_OUT = ("toy_frog", "cups_540p", "city_skyline_b")  # never trained on, as in configs/_base_/small_clips.py
LQ_SIZE = (96, 128)
FRAMES = 12
STUDENT = {
    "mid_channels": 64,
    "num_blocks": 8,
    "hr_channels": 32,
    "spynet": {"type": "SPyNet", "num_levels": 4, "channels": (16, 32, 16, 8), "kernel_size": 5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    clips = commands.add_parser("clips", help="degrade crops of clean clips")
    clips.add_argument("--source", type=Path, required=True, help="folder of clean videos")
    clips.add_argument("--out", type=Path, required=True)
    clips.add_argument("--count", type=int, default=540)
    clips.add_argument("--workers", type=int, default=2)
    clips.set_defaults(run=make_clips)
    train = commands.add_parser("train", help="compute the teacher's outputs and train the student")
    train.add_argument("--clips", type=Path, required=True)
    train.add_argument("--teacher", type=Path, required=True, help="safetensors of RRDBNet x4")
    train.add_argument("--init", type=Path, help="safetensors of a BasicVSR; matching names and shapes are loaded")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--minutes", type=float, default=6)
    train.add_argument("--variants", type=int, default=3, help="augmented copies per clip")
    train.add_argument("--limit", type=int, help="number of clips; default: all")
    train.add_argument("--batch", type=int, default=12)
    train.add_argument("--frames", type=int, default=8)
    train.add_argument("--crop", type=int, default=64, help="low-resolution crop in pixels")
    train.add_argument("--lr", type=float, default=4e-4)
    train.set_defaults(run=train_student)
    arguments = parser.parse_args()
    arguments.run(arguments)


# --- clips ----------------------------------------------------------------------------------------------------------


def make_clips(arguments: argparse.Namespace) -> None:
    """Write `count` degraded clips as nearly lossless videos, with a manifest."""
    sources = [p for p in sorted(arguments.source.glob("*.mp4")) if not p.stem.startswith(HELD_OUT)]
    if not sources:
        raise SystemExit(f"{arguments.source} holds no .mp4 files")
    arguments.out.mkdir(parents=True, exist_ok=True)
    jobs = [(sources[i % len(sources)], arguments.out / f"{i:05d}.mp4", i) for i in range(arguments.count)]
    jobs = [job for job in jobs if not job[1].exists()]
    start = time.perf_counter()
    with multiprocessing.Pool(arguments.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for done, name in enumerate(pool.imap_unordered(_make_clip, jobs), 1):
            if done % 20 == 0:
                left = (time.perf_counter() - start) / done * (len(jobs) - done)
                print(f"{done}/{len(jobs)} {name} about {left:.0f} s left", flush=True)


def _make_clip(job: tuple[Path, Path, int]) -> str:
    import cv2

    import vrestore  # noqa: F401
    from vrestore.config import load_config
    from vrestore.registry import DEGRADATIONS
    from vrestore.video import VideoReader, VideoWriter

    source, target, seed = job
    rng = np.random.default_rng(seed)
    height, width = (4 * side for side in LQ_SIZE)
    with VideoReader(source) as reader:
        info = reader.info
        largest = min(info.height / height, info.width / width)
        shrink = rng.uniform(1.0, min(largest, 2.4)) if largest > 1 else largest
        crop_h, crop_w = int(height * shrink), int(width * shrink)
        count = min(FRAMES, reader.frame_count)
        clip = reader.read(int(rng.integers(0, reader.frame_count - count + 1)), count).frames
    top = int(rng.integers(0, info.height - crop_h + 1))
    left = int(rng.integers(0, info.width - crop_w + 1))
    clip = clip[..., top : top + crop_h, left : left + crop_w].permute(0, 2, 3, 1).numpy()
    clean = np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in clip])
    while len(clean) < FRAMES:
        clean = np.concatenate([clean, clean[::-1]])[:FRAMES]
    frames = torch.from_numpy(np.ascontiguousarray(clean.transpose(0, 3, 1, 2)))
    severe = rng.random() < (0.7 if seed < 240 else 0.35)
    recipe = load_config("degradations/realbasicvsr").degradation if severe else _mild()
    degraded, _ = DEGRADATIONS.build(recipe)(frames, rng)
    with VideoWriter(target, fps=25, crf=12, pix_fmt="yuv420p") as writer:
        writer.write(degraded.clamp(0, 1))
    return target.name


def _mild() -> dict:
    chance = {"type": "Chance", "prob": 0.6}
    return {
        "type": "Compose",
        "steps": [
            {**chance, "step": {"type": "RandomBlur", "sigma_x": (0.2, 1.5), "sigma_y": (0.2, 1.5)}},
            {"type": "ResizeTo", "scale": 4},
            {**chance, "step": {"type": "RandomNoise", "sigma": (1, 6), "poisson_scale": (0.05, 0.5)}},
            {**chance, "step": {"type": "VideoCompression"}},
            {"type": "Quantise"},
        ],
    }


# --- training -------------------------------------------------------------------------------------------------------


def train_student(arguments: argparse.Namespace) -> None:
    """Compute the bank of pairs, then train until the time is used."""
    from safetensors.torch import load_file, save_file

    from vrestore.backbones.basicvsr import BasicVSR

    started = time.perf_counter()
    arguments.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    lq, hq = _bank(arguments, device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"bank of {len(lq)} clips on {name} after {time.perf_counter() - started:.0f} s", flush=True)

    student = BasicVSR(**STUDENT)
    if arguments.init:
        _load_matching(student, load_file(arguments.init))
    student.to(device)
    average = {k: v.detach().clone() for k, v in student.state_dict().items()}
    flow = [p for n, p in student.named_parameters() if n.startswith("spynet")]
    rest = [p for n, p in student.named_parameters() if not n.startswith("spynet")]
    optimiser = torch.optim.Adam([{"params": rest}, {"params": flow}], lr=arguments.lr, betas=(0.9, 0.99))
    log: list[str] = []
    begin, iteration, saved = time.perf_counter(), 0, 0.0
    budget = arguments.minutes * 60
    sums = torch.zeros(3, device=device)
    while (elapsed := time.perf_counter() - begin) < budget:
        fraction = elapsed / budget
        rate = arguments.lr * min(1.0, (iteration + 1) / 100) * (0.5 * (1 + math.cos(math.pi * fraction)) + 0.002)
        optimiser.param_groups[0]["lr"], optimiser.param_groups[1]["lr"] = rate, rate / 4
        x, y = _sample(lq, hq, arguments)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            out, flows = student(x, return_intermediates=True)
        pixel, gradient, temporal = _losses(out.float(), y, x, flows["flows_backward"].float())
        loss = pixel + gradient + 0.5 * temporal
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 0.5)
        optimiser.step()
        decay = min(0.999, (iteration + 1) / (iteration + 10))
        with torch.no_grad():
            values = student.state_dict()
            torch._foreach_lerp_(list(average.values()), [values[k] for k in average], 1 - decay)
        sums += torch.stack([pixel, gradient, temporal]).detach()
        iteration += 1
        if iteration % 100 == 0 or iteration == 5:
            means = (sums / (100 if iteration >= 100 else 5)).tolist()
            sums.zero_()
            record = dict(zip(("l1", "gradient", "temporal"), means, strict=True))
            record |= {"iteration": iteration, "seconds": round(elapsed, 1), "lr": rate}
            log.append(json.dumps(record) + "\n")
            (arguments.out / "log.jsonl").write_text("".join(log), encoding="utf-8")
            print(record, flush=True)
        if elapsed - saved > 60:
            saved = elapsed
            save_file({k: v.contiguous() for k, v in average.items()}, arguments.out / "student.safetensors")
    save_file({k: v.contiguous() for k, v in average.items()}, arguments.out / "student.safetensors")
    summary = {"device": name, "iterations": iteration, "clips": len(lq), "seconds": time.perf_counter() - started}
    summary |= {k: v for k, v in vars(arguments).items() if isinstance(v, (int, float))}
    (arguments.out / "run.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(summary)


def _load_matching(student: torch.nn.Module, state: dict[str, Tensor]) -> None:
    own = student.state_dict()
    state = {k.removeprefix("backbone."): v.float() for k, v in state.items()}
    matching = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    student.load_state_dict({**own, **matching})
    print(f"initialised {len(matching)} of {len(own)} tensors")


@torch.no_grad()
def _bank(arguments: argparse.Namespace, device: torch.device) -> tuple[Tensor, Tensor]:
    """Low-resolution clips (N, T, 3, h, w) and the teacher's outputs (N, T, 3, 4h, 4w), uint8 on the device."""
    from safetensors.torch import load_file

    from vrestore.backbones.rrdbnet import RRDBNet

    half = device.type == "cuda"
    dtype = torch.float16 if half else torch.float32
    teacher = RRDBNet(3, 3, 64, 23, 32, upscale_factor=4).eval()
    teacher.load_state_dict({k: v.float() for k, v in load_file(arguments.teacher).items()})
    teacher.to(device, dtype, memory_format=torch.channels_last)
    files = sorted(arguments.clips.glob("*.mp4"))[: arguments.limit]
    clips = torch.stack(list(_decode(files))).to(device)
    lq, hq = [], []
    generator = torch.Generator(device).manual_seed(0)
    for variant in range(arguments.variants):
        for clip in clips:
            x = _vary(clip, variant, generator)
            lq.append(x)
            y = teacher((x.to(dtype) / 255).contiguous(memory_format=torch.channels_last))
            hq.append((y.float().clamp(0, 1) * 255).round().byte())
    return torch.stack(lq), torch.stack(hq)


def _decode(files: list[Path]) -> Iterator[Tensor]:
    import cv2

    for file in files:
        capture, frames = cv2.VideoCapture(str(file)), []
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            frames.append(frame[..., ::-1].copy())
        if len(frames) == FRAMES:
            yield torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def _vary(clip: Tensor, variant: int, generator: torch.Generator) -> Tensor:
    """An augmented copy of a clip: gain and offset, blur, noise, loss of colour; variant 0 is the clip."""
    if variant == 0:
        return clip

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), device=clip.device, generator=generator).item()

    x = clip.float() / 255
    if uniform(0, 1) < 0.5:
        sigma = uniform(0.3, 1.2)
        taps = torch.exp(-(torch.arange(-4, 5, device=x.device) ** 2) / (2 * sigma**2))
        taps = (taps / taps.sum()).view(1, 1, 1, -1).expand(3, 1, 1, 9)
        x = F.conv2d(F.pad(x, (4, 4, 0, 0), mode="reflect"), taps, groups=3)
        x = F.conv2d(F.pad(x, (0, 0, 4, 4), mode="reflect"), taps.transpose(2, 3), groups=3)
    x = ((x - 0.5) * uniform(0.7, 1.2) + 0.5 + uniform(-0.1, 0.1)).clamp(0, 1)
    if uniform(0, 1) < 0.5:
        channels = 1 if uniform(0, 1) < 0.4 else 3
        noise = torch.randn((len(x), channels, *x.shape[-2:]), device=x.device, generator=generator)
        x = x + noise * uniform(0.5, 10) / 255
    if uniform(0, 1) < 0.15:
        x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return (x.clamp(0, 1) * 255).round().byte()


def _sample(lq: Tensor, hq: Tensor, arguments: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """A batch of random crops in space and time, flipped and transposed: values in [0, 1]."""
    size, frames, xs, ys = arguments.crop, arguments.frames, [], []
    for _ in range(arguments.batch):
        clip = int(torch.randint(len(lq), ()))
        first = int(torch.randint(lq.shape[1] - frames + 1, ()))
        top = int(torch.randint(lq.shape[-2] - size + 1, ()))
        left = int(torch.randint(lq.shape[-1] - size + 1, ()))
        x = lq[clip, first : first + frames, :, top : top + size, left : left + size]
        y = hq[clip, first : first + frames, :, 4 * top : 4 * (top + size), 4 * left : 4 * (left + size)]
        for axis in range(3):
            if torch.rand(()) < 0.5:
                axes = ((-1,), (-2,), (0,))[axis]
                x, y = x.flip(axes), y.flip(axes)
        if torch.rand(()) < 0.5:
            x, y = x.transpose(-1, -2), y.transpose(-1, -2)
        xs.append(x)
        ys.append(y)
    x, y = torch.stack(xs).float() / 255, torch.stack(ys).float() / 255
    grey = (x[:, :, :1] == x).flatten(1).all(1).view(-1, 1, 1, 1, 1)
    return x, torch.where(grey, y.mean(2, keepdim=True), y)  # clips without colour have targets without colour


def _losses(out: Tensor, target: Tensor, lq: Tensor, flows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L1, multi-scale gradient L1, and the temporal loss.

    The temporal loss compares the motion-compensated difference of consecutive outputs with that of the low-pass
    filtered teacher, where the motion compensation of the input is accurate.
    """
    from vrestore.layers.flow_warp import flow_warp

    pixel = (out - target).abs().mean()
    gradient = out.new_zeros(())
    a, b = out.flatten(0, 1), target.flatten(0, 1)
    for level in range(3):
        if level:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        difference = a - b
        gradient = gradient + (difference[..., 1:] - difference[..., :-1]).abs().mean()
        gradient = gradient + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    with torch.no_grad():
        flow = flows.flatten(0, 1)
        warped = flow_warp(lq[:, 1:].flatten(0, 1), flow.permute(0, 2, 3, 1))
        error = (warped - lq[:, :-1].flatten(0, 1)).abs().mean(1, keepdim=True)
        mask = F.interpolate(torch.exp(-error / 0.04), scale_factor=4, mode="nearest")
        flow = (F.interpolate(flow, scale_factor=4, mode="bilinear", align_corners=False) * 4).permute(0, 2, 3, 1)
        low = F.interpolate(F.avg_pool2d(target.flatten(0, 1), 8), scale_factor=8, mode="bilinear", align_corners=False)
        low = low.view_as(target)
        expected = low[:, :-1].flatten(0, 1) - flow_warp(low[:, 1:].flatten(0, 1), flow)
    moved = out[:, :-1].flatten(0, 1) - flow_warp(out[:, 1:].flatten(0, 1), flow)
    temporal = ((moved - expected).abs() * mask).sum() / (mask.sum() * 3 + 1e-6)
    return pixel, gradient / 2, temporal


if __name__ == "__main__":
    main()
