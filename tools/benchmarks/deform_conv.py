"""What deformable alignment costs on a CPU: our operator against a plain one, and BasicVSR++ against BasicVSR; and what
BasicVSR costs against itself put together from stock layers. Everything in one run, the networks on one clip.

    python tools/benchmarks/deform_conv.py [--frames 10] [--size 64 112] [--threads N] [--repeats 3] [--out FILE.json]

The runs take turns, and the quickest of each counts. Networks have their official sizes and random weights. ``wall`` is
the clock; ``cpu`` is the time of this process on all its threads, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from plain_basicvsr import PlainBasicVSR
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from vrestore.backbones import BasicVSR, BasicVSRPlusPlus
from vrestore.evaluation.environment import describe_environment
from vrestore.layers.deform_conv import deform_conv_path, modulated_deform_conv2d

GOAL = 2.5  # BasicVSR++ (c64n7) may take so many times as long as BasicVSR (c64b30)
Runs = dict[str, Callable[[], Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10, help="frames of the clip")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 112), help="height and width of the clip")
    parser.add_argument("--threads", type=int, help="threads of torch (default: all cores)")
    parser.add_argument("--repeats", type=int, default=3, help="the quickest of so many turns counts")
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    rows = [*operator(*args.size, args.repeats), *networks(args.frames, *args.size, args.repeats)]
    Console().print(as_table(rows))
    seconds = {row["what"]: row["wall_s"] for row in rows}
    cpu = {row["what"]: row["cpu_s"] for row in rows}
    ratios = {
        f"{a} / {b}": {"wall": seconds[a] / seconds[b], "cpu": cpu[a] / cpu[b]}
        for a, b in (
            ("operator, plain", "operator, ours"),
            ("operator with gradients, plain", "operator with gradients, ours"),
            ("BasicVSR++ c64n7", "BasicVSR c64b30"),
            ("BasicVSR c64b30", "BasicVSR c64b30 of stock layers"),
        )
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio['wall']:.2f} by the clock, {ratio['cpu']:.2f} by CPU time")
    if args.out:
        settings = {"frames": args.frames, "size": list(args.size), "repeats": args.repeats, "goal": GOAL}
        report = {"environment": describe_environment(torch.device("cpu")), "settings": settings}
        text = json.dumps({**report, "rows": rows, "ratios": ratios}, indent=1)
        args.out.write_text(text + "\n", encoding="utf-8")


def operator(h: int, w: int, repeats: int) -> list[dict]:
    """The convolution of BasicVSR++'s alignment: 128 channels to 64, 16 deformable groups.

    Positions keep away from whole pixels, where the slope jumps and gradients depend on the last bit.
    """
    inputs = [
        torch.randn(1, 128, h, w),
        (torch.randn(1, 16 * 18, h, w) * 4).round() + 0.1 + 0.8 * torch.rand(1, 16 * 18, h, w),
        torch.rand(1, 16 * 9, h, w),
        torch.randn(64, 128, 3, 3) / 34,
        torch.randn(64),
    ]
    wanting = [t.clone().requires_grad_() for t in inputs]

    def ours(tensors: list[Tensor]) -> Tensor:
        return modulated_deform_conv2d(*tensors, padding=1, deform_groups=16)

    def grads(of: Callable[[list[Tensor]], Tensor]) -> Tensor:
        return torch.cat([g.flatten() for g in torch.autograd.grad(of(wanting).sum(), wanting)])

    with torch.no_grad():
        exact = plain_deform_conv([t.double() for t in inputs])
        plain: Runs = {
            "operator, ours": lambda: ours(inputs),
            "operator, plain": lambda: plain_deform_conv(inputs),
        }
        rows = timed(plain, repeats, exact)
    reference = grads(plain_deform_conv)
    with_gradients: Runs = {
        "operator with gradients, ours": lambda: grads(ours),
        "operator with gradients, plain": lambda: grads(plain_deform_conv),
    }
    return rows + timed(with_gradients, repeats, reference)


@torch.no_grad()
def networks(frames: int, h: int, w: int, repeats: int) -> list[dict]:
    clip = torch.rand(1, frames, 3, h, w)
    ours, plus_plus = lively(BasicVSR()), lively(BasicVSRPlusPlus())
    stock = PlainBasicVSR().eval()
    stock.load_state_dict(ours.state_dict())
    reference = stock(clip)
    rows = timed({"BasicVSR c64b30": lambda: ours(clip), "BasicVSR c64b30 of stock layers": lambda: stock(clip)},
                 repeats, reference)  # fmt: skip
    return rows + timed({"BasicVSR++ c64n7": lambda: plus_plus(clip)}, repeats, None)


def lively(network: nn.Module) -> nn.Module:
    """Random weights in place of those that start at zero: no layer's work may be for nothing."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "conv_offset.6" in name or "conv_last" in name:
                parameter.normal_(std=0.02)
    return network.eval()


def timed(runs: Runs, repeats: int, reference: Tensor | None) -> list[dict]:
    """Time runs in turns, after one that warms up; and how far the results are from a reference."""
    rows: dict[str, dict[str, Any]] = {}
    for turn in range(repeats + 1):
        for what, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            out = run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if turn == 0:
                drift = None if reference is None else (out.double() - reference.double()).abs().max().item()
                rows[what] = {"what": what, "wall_s": float("inf"), "cpu_s": float("inf"), "largest_difference": drift}
                continue
            rows[what]["wall_s"] = min(rows[what]["wall_s"], wall)
            rows[what]["cpu_s"] = min(rows[what]["cpu_s"], cpu)
    return list(rows.values())


def plain_deform_conv(tensors: list[Tensor]) -> Tensor:
    """The same convolution the obvious way: four gathers, then a product. 3x3, padding 1, 16 deformable groups."""
    x, offset, mask, weight, bias = tensors
    (b, c, h, w), groups = x.shape, 16
    moved = offset.view(b, groups, 9, 2, h, w)
    taps = torch.arange(9)
    y = (taps // 3 - 1).view(9, 1, 1) + torch.arange(h).view(h, 1) + moved[:, :, :, 0]
    x_ = (taps % 3 - 1).view(9, 1, 1) + torch.arange(w) + moved[:, :, :, 1]
    top, left = y.floor(), x_.floor()
    pixels = x.view(b, groups, c // groups, h * w)
    columns = torch.zeros(b, groups, c // groups, 9, h, w, dtype=x.dtype)
    for row, in_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, in_x in ((left, 1 - (x_ - left)), (left + 1, x_ - left)):
            inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
            index = (row.clamp(0, h - 1) * w + column.clamp(0, w - 1)).long().view(b, groups, 1, -1)
            corner = pixels.gather(3, index.expand(-1, -1, c // groups, -1)).view_as(columns)
            columns = columns + corner * (in_y * in_x * inside * mask.view(b, groups, 9, h, w)).unsqueeze(2)
    return torch.einsum("ok,bkp->bop", weight.flatten(1), columns.view(b, c * 9, h * w)).view(b, -1, h, w) + bias.view(
        -1, 1, 1
    )


def as_table(rows: list[dict]) -> Table:
    table = Table("what", "wall (s)", "cpu (s)", "largest difference")
    for row in rows:
        drift = row["largest_difference"]
        table.add_row(
            row["what"], f"{row['wall_s']:.3f}", f"{row['cpu_s']:.3f}", "" if drift is None else f"{drift:.1e}"
        )
    return table


if __name__ == "__main__":
    with deform_conv_path("torch"):
        main()
