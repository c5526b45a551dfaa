"""run_benchmark: every method on every clip of every benchmark of a config, with what is finished kept on disk."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from vrestore.errors import EvaluationError, NotMeasuredError, VRestoreError
from vrestore.evaluation.alignment import measure_alignment
from vrestore.evaluation.cells import Cell, CellStore, Failure, Score, cell_key
from vrestore.evaluation.cost import measure
from vrestore.evaluation.environment import describe_environment
from vrestore.evaluation.files import holds_frames, safe_name, to_uint8, write_frames, write_png, write_text
from vrestore.evaluation.methods import LoadedMethod
from vrestore.evaluation.metric import Metric
from vrestore.evaluation.pixels import check_clip, check_pair
from vrestore.evaluation.plan import Benchmark, Plan
from vrestore.evaluation.progress import cell_progress
from vrestore.evaluation.protocol import content_hash, to_plain
from vrestore.restorers.base import judged_frames
from vrestore.restorers.request import Request
from vrestore.version import __version__


@dataclass
class BenchmarkResult:
    """Everything that a report needs.

    Attributes:
        methods: names, in the order of the config.
        benchmarks: in the order of the config.
        cells: the finished ones, of this run and of earlier ones.
        failures: what did not finish in this run.
        environment: machine, versions and commit.
        config: methods, benchmarks and output options as plain data.
        work_dir: where everything was written.
    """

    methods: list[str]
    benchmarks: list[Benchmark]
    cells: list[Cell]
    failures: list[Failure]
    environment: dict[str, Any]
    config: dict[str, Any]
    work_dir: Path = field(default_factory=Path)


def run_benchmark(
    config: Mapping[str, Any],
    *,
    work_dir: str | Path,
    device: str | torch.device | None = None,
    methods: Sequence[str] | None = None,
    console: Console | None = None,
) -> BenchmarkResult:
    """Run what a benchmark config describes; finished cells of an earlier run are taken as they are.

    A cell is one method on one clip of one benchmark. It is known by the hash of the method (its config and the content
    of its weights), of the clip (the content of its frames), of the request and of the metrics' protocols: whatever
    changes runs again. A failing method is recorded and the others go on; an interruption (Ctrl-C) stops at once, and
    a second run continues.

    Args:
        config: `methods`, `benchmarks` and, optionally, `output` (see `vrestore.evaluation.plan.Plan`).
        work_dir: folder for finished cells, frames and pictures.
        device: None is the GPU where there is one, else the CPU.
        methods: names of the methods to run; None runs all.
        console: where progress is shown; None shows none.

    Raises:
        ConfigError, RegistryError, DataError: the config cannot be run; nothing was run.
    """
    plan = Plan.from_config(config, only=methods)
    run = _Run(plan, Path(work_dir), _pick_device(device), config)
    with cell_progress(console, plan.cell_count) as advance:
        run.all(advance)
    return run.result()


def _pick_device(device: str | torch.device | None) -> torch.device:
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


class _Run:
    """One pass over the cells of a plan."""

    def __init__(self, plan: Plan, work_dir: Path, device: torch.device, config: Mapping[str, Any]):
        self.plan, self.work_dir, self.device = plan, work_dir, device
        self.store = CellStore(work_dir / "cells")
        self.cells: list[Cell] = []
        self.failures: list[Failure] = []
        self.config = to_plain({key: config.get(key) for key in ("methods", "benchmarks", "output")})
        self._input_hashes: dict[tuple[str, int], str] = {}

    def all(self, advance) -> None:
        for method in self.plan.methods:
            benchmarks = self.plan.benchmarks_of(method)
            advance(0, f"{method.name}: loading")
            try:
                loaded = method.load(self.device)
            except Exception as error:
                for benchmark in benchmarks:
                    self._fail(method.name, benchmark.name, None, error)
                advance(sum(len(benchmark.dataset) for benchmark in benchmarks), method.name)
                continue
            for benchmark in benchmarks:
                for index in range(len(benchmark.dataset)):
                    advance(0, f"{method.name} on {benchmark.name} ({index + 1}/{len(benchmark.dataset)})")
                    resumed = self._clip(loaded, benchmark, index)
                    advance(1, method.name, resumed=resumed)
            del loaded

    def _clip(self, loaded: LoadedMethod, benchmark: Benchmark, index: int) -> bool:
        """Finish one cell; whether it had been finished before."""
        method, clip = loaded.method.name, f"clip {index}"
        try:
            sample: dict[str, Any] | None = None
            if (benchmark.name, index) not in self._input_hashes:
                sample = self._load(benchmark, index)
            clip = benchmark.clips[index]
            request = Request(**{**benchmark.request, **loaded.method.request})
            key = cell_key(
                version=__version__,
                method=loaded.identity,
                clip=clip,
                input=self._input_hashes[benchmark.name, index],
                request=asdict(request),
                protocols=[benchmark.protocol_of(metric) for metric in benchmark.metrics],
                device=self.device.type,
            )
            kept = self.store.read(benchmark.name, method, clip, key) if self.plan.output.resume else None
            if kept is not None and self._has_pictures(kept):
                self.cells.append(kept)
                return True
            sample = sample or self._load(benchmark, index)
            cell = self._compute(loaded, benchmark, clip, sample, request, key)
            self.store.write(cell)
            self.cells.append(cell)
        except Exception as error:
            self._fail(method, benchmark.name, clip, error)
        return False

    def _load(self, benchmark: Benchmark, index: int) -> dict[str, Any]:
        sample = benchmark.dataset[index]
        clip = str(sample["clip"])
        if clip in benchmark.clips.values() and benchmark.clips.get(index) != clip:
            raise EvaluationError(f"two clips of {benchmark.name} are called '{clip}'; each needs a name of its own")
        benchmark.clips[index] = clip
        check_clip(sample["lq"], f"the degraded clip '{clip}'")
        self._input_hashes[benchmark.name, index] = hash_input(sample["lq"], sample.get("hq"))
        self._write_input_pictures(benchmark.name, clip, sample)
        benchmark.frames[clip] = len(sample["lq"])
        return sample

    def _compute(
        self,
        loaded: LoadedMethod,
        benchmark: Benchmark,
        clip: str,
        sample: dict[str, Any],
        request: Request,
        key: str,
    ) -> Cell:
        pred, cost = measure(lambda: loaded.restore(sample["lq"], request), self.device)
        check_clip(pred)
        restored = len(pred)
        pred = judged_frames(pred, sample.get("judged"))
        hq = sample.get("hq")
        if hq is not None:
            check_pair(pred, hq, "the benchmark")
        scores = [score_clip(metric, pred, hq, benchmark.protocol_of(metric)) for metric in benchmark.metrics]
        self._write_pictures(loaded.method.name, benchmark.name, clip, pred)
        return Cell(
            key=key,
            method=loaded.method.name,
            benchmark=benchmark.name,
            clip=clip,
            input_hash=self._input_hashes[benchmark.name, benchmark.index_of(clip)],
            weights=loaded.weights,
            parameters=loaded.parameters,
            frames=len(pred),
            size=(pred.shape[-2], pred.shape[-1]),
            cost={**asdict(cost), "frames": restored},
            scores=scores,
            alignment=None if hq is None else measure_alignment(pred, hq).as_dict(),
            record=to_plain(sample.get("record")),
        )

    def _fail(self, method: str, benchmark: str, clip: str | None, error: Exception) -> None:
        """Record a failure in one sentence; the traceback of one that is no person's mistake goes to a file."""
        text = str(error).strip() or type(error).__name__
        if not isinstance(error, VRestoreError):
            text = f"{type(error).__name__}: {text.splitlines()[0]}"
            name = f"{safe_name(benchmark)}-{safe_name(method)}{'-' + safe_name(clip) if clip else ''}.txt"
            with contextlib.suppress(EvaluationError):  # a full disk must not hide the failure itself
                write_text(self.work_dir / "failures" / name, "".join(traceback.format_exception(error)))
        self.failures.append(Failure(method, benchmark, clip, text))

    def frames_folder(self, method: str, benchmark: str, clip: str) -> Path:
        return self.work_dir / "frames" / safe_name(benchmark) / safe_name(clip) / safe_name(method)

    def _has_pictures(self, cell: Cell) -> bool:
        """Whether the pictures that this run is to leave are there from the run that made the cell."""
        output = self.plan.output
        where = (cell.method, cell.benchmark, cell.clip)
        saved = not output.save_frames or holds_frames(self.frames_folder(*where), cell.frames)
        return saved and (not output.comparison or preview_path(self.work_dir, *where).is_file())

    def _write_pictures(self, method: str, benchmark: str, clip: str, pred: Tensor) -> None:
        if self.plan.output.save_frames:
            write_frames(self.frames_folder(method, benchmark, clip), pred)
        if self.plan.output.comparison:
            _write_preview(preview_path(self.work_dir, method, benchmark, clip), pred)

    def _write_input_pictures(self, benchmark: str, clip: str, sample: dict[str, Any]) -> None:
        if not self.plan.output.comparison:
            return
        for which, frames in (("lq", sample["lq"]), ("hq", sample.get("hq"))):
            if frames is not None:
                _write_preview(input_preview_path(self.work_dir, which, benchmark, clip), frames)

    def result(self) -> BenchmarkResult:
        return BenchmarkResult(
            methods=[method.name for method in self.plan.methods],
            benchmarks=self.plan.benchmarks,
            cells=self.cells,
            failures=self.failures,
            environment=describe_environment(self.device),
            config=self.config,
            work_dir=self.work_dir,
        )


def preview_path(work_dir: Path, method: str, benchmark: str, clip: str) -> Path:
    """Where the middle frame of an output is kept for the comparison picture."""
    return work_dir / "previews" / safe_name(benchmark) / safe_name(clip) / f"{safe_name(method)}.png"


def input_preview_path(work_dir: Path, which: str, benchmark: str, clip: str) -> Path:
    """Where the middle frame of the degraded clip (`lq`) or the ground truth (`hq`) is kept; no method is called so."""
    return work_dir / "previews" / safe_name(benchmark) / safe_name(clip) / f"_{which}.png"


def _write_preview(path: Path, frames_TCHW: Tensor) -> None:
    write_png(path, to_uint8(frames_TCHW[len(frames_TCHW) // 2]), compress_level=1)


def score_clip(metric: Metric, pred_TCHW: Tensor, hq_TCHW: Tensor | None, protocol: dict[str, Any]) -> Score:
    """One metric on one clip; what cannot be measured says why instead of a number.

    Raises:
        EvaluationError: size or frame count differ from the ground truth's.
    """
    frames, reason = None, None
    try:
        frames = metric.score(pred_TCHW, hq_TCHW)
    except NotMeasuredError as error:
        reason = str(error)
    return Score(metric.name, protocol, metric.unit, metric.higher_is_better, frames, reason)


def hash_input(lq_TCHW: Tensor, hq_TCHW: Tensor | None) -> str:
    """Identity of a clip's content at 16 bit: enough for any file, and deaf to the last bit of floating point."""
    clips = [clip for clip in (lq_TCHW, hq_TCHW) if clip is not None]
    return content_hash(*((clip.clamp(0, 1) * 65535).round().to(torch.int32).numpy() for clip in clips))
