"""How long the commands take to start: total time and the slowest imports of each.

python tools/benchmarks/startup.py                                           this checkout
python tools/benchmarks/startup.py --out docs/results/startup.json --label after
python tools/benchmarks/startup.py --root ../before --label before --out docs/results/startup.json

`restore` restores a clip of one frame of 64x64 with the model `bicubic`; ``import torch`` is the lower bound of every
command that computes. Times are the minimum over --runs, CPU time includes all threads.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s*(\S+)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to measure (default: this one)")
    parser.add_argument("--runs", type=int, default=3, help="runs per command (default: 3)")
    parser.add_argument("--imports", type=int, default=8, help="slowest imports to show (default: 8)")
    parser.add_argument("--label", default="now", help="name of these rows in the results (default: now)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="results file; rows of other labels are kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            {
                **{"label": arguments.label, "commit": _commit(arguments.root), "command": name},
                **_measure(command, arguments.root.resolve(), arguments),
            }
            for name, command in _commands(Path(folder)).items()
        ]
    for row in rows:
        print(f"{row['command']:24} {row['seconds']:6.2f} s, CPU {row['cpu_seconds']:6.2f} s, {row['modules']} modules")
        for package, seconds in row["slowest_imports"].items():
            print(f"    {seconds:6.2f} s  {package}")
    if arguments.out:
        _write(arguments.out, arguments.label, rows)


def imported_modules(importtime: str) -> dict[str, float]:
    """Seconds spent in each module itself, read from the output of ``python -X importtime``."""
    return {match[3]: int(match[1]) / 1e6 for match in map(IMPORT_LINE.match, importtime.splitlines()) if match}


def _commands(folder: Path) -> dict[str, list[str]]:
    source, target = _one_frame(folder), folder / "out.mp4"
    vrestore = ["-m", "vrestore"]
    return {
        "import torch": ["-c", "import torch"],
        "vrestore --help": [*vrestore, "--help"],
        "vrestore zoo": [*vrestore, "zoo"],
        "vrestore restore": [*vrestore, "restore", str(source), str(target), "--model", "bicubic", "--overwrite"],
    }


def _one_frame(folder: Path) -> Path:
    import torch

    from vrestore.video import VideoWriter

    with VideoWriter(folder / "one.mp4", fps=25) as writer:
        writer.write(torch.rand(1, 3, 64, 64))
    return folder / "one.mp4"


def _measure(command: Sequence[str], root: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    _run(command, root)  # compiles the modules and fills the disk cache
    times = []
    for _ in range(arguments.runs):
        cpu, start = _cpu_seconds(), time.perf_counter()
        _run(command, root)
        times.append((time.perf_counter() - start, _cpu_seconds() - cpu))
    modules = imported_modules(_run(["-X", "importtime", *command], root))
    packages: Counter[str] = Counter()
    for module, seconds in modules.items():
        packages[".".join(module.split(".")[:2])] += seconds  # type: ignore[assignment]
    return {
        "seconds": round(min(seconds for seconds, _ in times), 2),
        "cpu_seconds": round(min(seconds for _, seconds in times), 2),
        "modules": len(modules),
        "slowest_imports": {name: round(seconds, 3) for name, seconds in packages.most_common(arguments.imports)},
    }


def _run(command: Sequence[str], root: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {root}:\n{done.stderr[-2000:]}")
    return done.stderr


def _commit(root: Path) -> str | None:
    """Abbreviated commit of a checkout; None outside of one."""
    done = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() or None


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write(file: Path, label: str, rows: Sequence[dict[str, Any]]) -> None:
    import torch

    from vrestore.evaluation.environment import describe_environment

    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"rows": []}
    kept = [row for row in known["rows"] if row["label"] != label]
    result = {"environment": describe_environment(torch.device("cpu")), "rows": [*kept, *rows]}
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
