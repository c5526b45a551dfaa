"""VEnhancer's network at official size: how far it is from the stored outputs, how long it takes, how much memory.

    python tools/benchmarks/venhancer_full_size.py [--reduced] [--dtypes fp32 bf16] [--out FILE.json] [--docs FILE.md]

It needs the reference outputs in ../shared/parity, 12 GB of memory and, for a while, 4 GB of disk; --reduced takes the
small networks of the same manifest instead. In the docs, what stands between these two lines is replaced:

    <!-- venhancer full size -->
    <!-- /venhancer full size -->
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.parity import venhancer_references as ref  # noqa: E402
from tests.parity.test_venhancer_network import conditions_of  # noqa: E402
from vrestore.checkpoints import load_network  # noqa: E402
from vrestore.evaluation.environment import describe_environment  # noqa: E402
from vrestore.restorers.venhancer.memory import denoising_bytes  # noqa: E402

MEMORY_CALL = (8, 34, 32)  # frames, rows and columns of latents
BLOCK = re.compile(r"(<!-- venhancer full size -->\n).*?(<!-- /venhancer full size -->)", re.DOTALL)
OUT = ROOT / "docs" / "results" / "venhancer_full_size.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reduced", action="store_true", help="the small networks of the manifest")
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], help="precisions to measure")
    parser.add_argument("--out", type=Path, default=OUT, help="where the numbers are written as JSON")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "venhancer.md", help="where the table is put")
    args = parser.parse_args()
    console = Console(stderr=True)
    entries = ref.ids("b_control_f1", "b_control_b2") if args.reduced else ref.ids("c_full_")
    config = "S4" if args.reduced else None
    report: dict = {"environment": describe_environment(torch.device("cpu")), "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        console.print("making the weights by name")
        save_file(named_weights(config), file)
        for dtype in args.dtypes:
            report["rows"] += measure(file, dtype, entries, 16 if args.reduced else 64, console)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    table = as_markdown(report)
    print(table)
    if args.docs.exists():
        text = args.docs.read_text(encoding="utf-8")
        args.docs.write_text(BLOCK.sub(lambda match: match[1] + table + match[2], text), encoding="utf-8")


def named_weights(config: str | None) -> dict[str, torch.Tensor]:
    """The weights that the references were made with; of the full size when `config` is None."""
    keys = ref.read_json("keys_full.json") if config is None else ref.read_json("reduced_keys.json")[config]
    return {name: ref.make_weight(name, shape, f"{config}/" if config else "") for name, shape in keys["keys"].items()}


@torch.no_grad()
def measure(file: Path, dtype: str, entries: list[str], head_dim: int, console: Console) -> list[dict]:
    """Load the network in a precision and hold it to every entry."""
    reset_peak()
    start = time.perf_counter()
    net = load_network(file, dtype=dtype, head_dim=head_dim)
    loading = {"dtype": dtype, "load_seconds": time.perf_counter() - start, "load_peak_gib": peak_gib()}
    loading["weights_gib"] = sum(p.nbytes for p in net.parameters()) / 2**30
    console.print(f"{dtype}: loaded in {loading['load_seconds']:.1f} s, peak {loading['load_peak_gib']:.2f} GiB")
    rows = []
    for name in entries:
        entry = ref.manifest()[name]
        x, y, t = (ref.make_input(entry["inputs"][key]) for key in ("x", "y", "t"))
        net(x, t, y, **conditions_of(entry))  # the first call makes kernels ready
        reset_peak()
        start = time.perf_counter()
        with AnonymousPeak() as taken:
            out = net(x, t, y, **conditions_of(entry))
        seconds, peak = time.perf_counter() - start, peak_gib()
        foreseen = denoising_bytes(net, x.shape[2], *x.shape[-2:], None) / 2**30
        want = torch.from_numpy(ref.arrays(entry)["out"]).view(out.shape)
        error = (out - want).abs()
        told = entry["outputs"]["out"]
        rows.append(
            {
                **loading,
                **{"entry": name, "frames": x.shape[2], "latents": list(x.shape[-2:])},
                **{"largest_difference": error.max().item(), "rms_difference": error.square().mean().sqrt().item()},
                **{"std": told["std"], "tolerance": told.get("atol"), "seconds": seconds, "peak_gib": peak},
                **{"taken_gib": taken.gib, "foreseen_gib": foreseen},
            }
        )
        console.print(f"{dtype} {name}: off by {rows[-1]['largest_difference']:.3g}, {seconds:.1f} s, {peak:.2f} GiB")
    return rows + [{**loading, **measure_memory(net, dtype, console)}]


def measure_memory(net: torch.nn.Module, dtype: str, console: Console) -> dict:
    """One call that is large enough to tell its own memory from that of everything else."""
    frames, rows, columns = MEMORY_CALL
    sizes = net.sizes
    x, y = torch.randn(1, sizes["in_dim"], *MEMORY_CALL), torch.randn(1, 77, sizes["context_dim"])
    reset_peak()
    start = time.perf_counter()
    with AnonymousPeak() as taken:
        net(x, torch.tensor([500]), y, x, torch.arange(frames)[None], 100, 4.0)
    seconds, peak = time.perf_counter() - start, peak_gib()
    foreseen = denoising_bytes(net, frames, rows, columns, None) / 2**30
    console.print(f"{dtype} {MEMORY_CALL}: {seconds:.1f} s, took {taken.gib:.2f} GiB, foreseen {foreseen:.2f}")
    told = {"entry": None, "frames": frames, "latents": [rows, columns], "seconds": seconds, "peak_gib": peak}
    return {**told, "taken_gib": taken.gib, "foreseen_gib": foreseen}


def as_markdown(report: dict) -> str:
    heads = ("precision", "frames x latent", "largest difference", "rms of it", "s/call", "peak GiB")
    heads = (*heads, "of which by the call (foreseen)", "load s", "load peak GiB")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in report["rows"]:
        size = f"{row['frames']} x {row['latents'][0]} x {row['latents'][1]}"
        held = row["entry"] is not None
        share = f"{row['rms_difference'] / row['std']:.2g} of the output's" if held else "no reference"
        taken = f"{row['taken_gib']:.2f} ({row['foreseen_gib']:.2f})"
        largest = f"{row['largest_difference']:.2g}" if held else "–"
        cells = [row["dtype"], size, largest, share, f"{row['seconds']:.1f}"]
        cells += [f"{row['peak_gib']:.2f}", taken, f"{row['load_seconds']:.1f}", f"{row['load_peak_gib']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    where = report["environment"]
    lines += ["", f"Measured on {where['cpu']}, {where['threads']} threads, torch {where['packages']['torch']}."]
    return "\n".join(lines) + "\n"


class AnonymousPeak:
    """The most memory, pages of mapped files left out, that a block takes beyond what there was: `gib`."""

    gib = 0.0

    def __enter__(self) -> AnonymousPeak:
        self._before, self._most, self._over = self._now(), 0.0, threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self.gib = max(self._most - self._before, 0.0)

    def _sample(self) -> None:
        while not self._over.wait(0.005):
            self._most = max(self._most, self._now())

    @staticmethod
    def _now() -> float:
        return int(re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**20


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak_gib() -> float:
    """The most memory of this process since `reset_peak`, pages of mapped files included."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**20


if __name__ == "__main__":
    main()
