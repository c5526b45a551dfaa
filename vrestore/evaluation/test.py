"""test: one function for `tools/test.py`, from a config to a report and an exit status."""

# ruff: noqa: PT028  (no test of ours, whatever its name says)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vrestore.config import check_keys
from vrestore.errors import ConfigError
from vrestore.evaluation.benchmark import run_benchmark
from vrestore.evaluation.comparison import write_comparisons
from vrestore.evaluation.report import print_report, write_report


def test(
    cfg: Mapping[str, Any],
    checkpoint: str | Path | None = None,
    *,
    work_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    methods: Sequence[str] | None = None,
    console: Console | None = None,
) -> int:
    """Evaluate what a config describes, print the table and write the report.

    Args:
        cfg: a benchmark config (`methods`, `benchmarks`), or a training config (`model` and `test_dataloader` with
            `test_evaluator`, or the same of `val_`), which needs `checkpoint`.
        checkpoint: weights of the training config's model; not with a benchmark config.
        work_dir: where results go; None takes the config's, else ``work_dirs/<config>``. Finished cells found there are
            taken as they are.
        device: None is the GPU where there is one, else the CPU.
        methods: names of the methods of a benchmark config to run; None runs all.
        console: where the table and the progress bar are shown; None is the terminal.

    Returns:
        0, or 1 when a method failed.

    Raises:
        ConfigError, RegistryError, DataError, EvaluationError: what is wrong with the config, the data or the work dir.
    """
    console = console or Console()
    config = as_benchmark(cfg, checkpoint)
    folder = Path(work_dir or cfg.get("work_dir") or _default_work_dir(cfg))
    result = run_benchmark(config, work_dir=folder, device=device, methods=methods, console=console)
    wanted = (config.get("output") or {}).get("comparison", True)
    pictures = write_comparisons(result) if wanted else []
    written = write_report(result, folder, pictures)
    print_report(result, console)
    resumed = sum(cell.resumed for cell in result.cells)
    again = f" ({resumed} of {len(result.cells)} taken from an earlier run)" if resumed else ""
    shown = written + ([pictures[0].parent] if pictures else [])
    console.print(f"results{again}: {', '.join(str(path) for path in shown)}", soft_wrap=True, markup=False)
    return 1 if result.failures else 0


test.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it where a test imports it


def as_benchmark(cfg: Mapping[str, Any], checkpoint: str | Path | None) -> Mapping[str, Any]:
    """The benchmark config that a config means: itself, or the validation of a training config's model.

    Raises:
        ConfigError: it is neither, or the checkpoint is missing or superfluous.
    """
    if "benchmarks" in cfg or "methods" in cfg:
        if checkpoint is not None:
            raise ConfigError(
                f"a benchmark config names its weights itself (methods=[dict(name=…, model=…, weights=…)]); "
                f"the checkpoint {checkpoint} has no place"
            )
        return cfg
    if "model" not in cfg:
        raise ConfigError(
            "a config to test needs methods=[…] and benchmarks=[…], or the model=dict(…) of a training config"
        )
    weights = checkpoint or cfg.get("load_from")
    if not weights:
        raise ConfigError("testing a training config needs a checkpoint: tools/test.py CONFIG CHECKPOINT")
    kind = next((kind for kind in ("test", "val") if cfg.get(f"{kind}_dataloader")), None)
    if kind is None or not cfg.get(f"{kind}_evaluator"):
        raise ConfigError(
            "testing a training config needs test_dataloader with test_evaluator, or val_dataloader with val_evaluator"
        )
    loader = cfg[f"{kind}_dataloader"]
    check_keys(cfg.get("output") or {}, ("save_frames", "comparison", "resume"), "output")
    return {
        "methods": [{"name": Path(weights).stem, "model": cfg["model"], "weights": str(weights)}],
        "benchmarks": [{"dataset": loader["dataset"], "metrics": cfg[f"{kind}_evaluator"]}],
        "output": cfg.get("output") or {},
    }


def _default_work_dir(cfg: Mapping[str, Any]) -> Path:
    name = getattr(cfg, "filename", None)
    return Path("work_dirs") / (Path(name).stem if name else "benchmark")
