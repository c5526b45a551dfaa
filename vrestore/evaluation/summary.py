"""From cells to tables: one a benchmark, a column a score protocol, a row a method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vrestore.evaluation.benchmark import BenchmarkResult
from vrestore.evaluation.cells import Cell, Failure, Score
from vrestore.evaluation.plan import Benchmark
from vrestore.evaluation.protocol import column_labels, protocol_id
from vrestore.evaluation.published import Published, published_scores
from vrestore.evaluation.statistics import bootstrap_interval, mean_over_clips


@dataclass(frozen=True)
class Column:
    """One score under one protocol."""

    name: str
    label: str
    protocol_id: str
    protocol: Mapping[str, Any]
    unit: str
    higher_is_better: bool


@dataclass
class Value:
    """Mean of one column over the clips of one method.

    Attributes:
        mean: over the clips that were measured; None if none was.
        interval: bootstrap interval of the mean, or None with fewer than two clips.
        measured: clips with a value.
        clips: clips of the benchmark.
        infinite: frames identical to the ground truth, left out of the mean.
        unmeasured: frames without a value, left out of the mean.
        reason: why there is no mean.
        best: whether no method that measured every clip did better.
    """

    mean: float | None
    interval: tuple[float, float] | None
    measured: int
    clips: int
    infinite: int = 0
    unmeasured: int = 0
    reason: str | None = None
    best: bool = False

    @property
    def complete(self) -> bool:
        return self.mean is not None and self.measured == self.clips


@dataclass
class Row:
    """One method on one benchmark."""

    method: str
    values: list[Value]
    cells: list[Cell]
    failures: list[Failure]
    seconds_per_frame: float | None
    peak_rss_bytes: int | None
    peak_cuda_bytes: int | None
    parameters: int | None
    weights: str | None


@dataclass
class Table:
    """One benchmark; `published` are scores to compare with, which nobody measured here."""

    benchmark: str
    degradation: str | None
    clips: list[str]
    frames: int
    columns: list[Column]
    rows: list[Row] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)


def summarise(result: BenchmarkResult) -> list[Table]:
    """A table a benchmark; the numbers of a method depend on no other method."""
    return [_table(result, benchmark) for benchmark in result.benchmarks]


def _table(result: BenchmarkResult, benchmark: Benchmark) -> Table:
    cells = [cell for cell in result.cells if cell.benchmark == benchmark.name]
    clips = [benchmark.clips[index] for index in sorted(benchmark.clips)]
    table = Table(
        benchmark=benchmark.name,
        degradation=benchmark.degradation,
        clips=clips,
        frames=sum(benchmark.frames.get(clip, 0) for clip in clips),
        columns=_columns(cells, benchmark),
    )
    protocols = [column.protocol for column in table.columns]
    table.published = published_scores(benchmark.set_name, benchmark.degradation, protocols)
    count = len(benchmark.dataset)
    for method in result.methods if benchmark.methods is None else benchmark.methods:
        if method not in result.methods:
            continue
        own = [cell for cell in cells if cell.method == method]
        failures = [f for f in result.failures if f.method == method and f.benchmark == benchmark.name]
        table.rows.append(_row(method, own, failures, table.columns, count))
    for column in range(len(table.columns)):
        _mark_best([row.values[column] for row in table.rows], table.columns[column].higher_is_better)
    return table


def _columns(cells: list[Cell], benchmark: Benchmark) -> list[Column]:
    """A column for every protocol found, in the order of the config."""
    scores = [score for cell in cells for score in cell.scores]
    if not scores:  # every method failed: the columns that would have been
        planned = [(m.name, benchmark.protocol_of(m), m.unit, m.higher_is_better) for m in benchmark.metrics]
        scores = [Score(*entry, frames=None) for entry in planned]
    labels = column_labels((score.name, score.protocol) for score in scores)
    first = {(score.name, score.protocol_id): score for score in reversed(scores)}
    order = {metric.name: i for i, metric in enumerate(benchmark.metrics)}
    return [
        Column(name, label, identity, first[name, identity].protocol, first[name, identity].unit,
               first[name, identity].higher_is_better)
        for (name, identity), label in sorted(labels.items(), key=lambda item: order.get(item[0][0], len(order)))
    ]  # fmt: skip


def _row(method: str, cells: list[Cell], failures: list[Failure], columns: list[Column], clips: int) -> Row:
    frames = sum(cell.restored_frames for cell in cells)
    seconds = math.fsum(cell.cost["seconds"] for cell in cells)
    return Row(
        method=method,
        values=[_value(cells, column, clips) for column in columns],
        cells=cells,
        failures=failures,
        seconds_per_frame=seconds / frames if frames else None,
        peak_rss_bytes=_largest(cells, "peak_rss_bytes"),
        peak_cuda_bytes=_largest(cells, "peak_cuda_bytes"),
        parameters=cells[0].parameters if cells else None,
        weights=cells[0].weights if cells else None,
    )


def _value(cells: list[Cell], column: Column, clips: int) -> Value:
    scores = [score for cell in cells for score in cell.scores if _belongs(score, column)]
    means = [score.clip for score in scores if score.frames is not None]
    known = [m.mean for m in means if not math.isnan(m.mean)]
    reasons = [score.reason for score in scores if score.reason]
    if not known and means:
        reasons.append("no frame has a value")
    return Value(
        mean=mean_over_clips(known) if known else None,
        interval=bootstrap_interval(known),
        measured=len(known),
        clips=clips,
        infinite=sum(m.infinite for m in means),
        unmeasured=sum(m.unmeasured for m in means),
        reason=reasons[0] if reasons else None,
    )


def _belongs(score: Score, column: Column) -> bool:
    return score.name == column.name and protocol_id(score.protocol) == column.protocol_id


def _largest(cells: list[Cell], what: str) -> int | None:
    return max((cell.cost[what] for cell in cells if cell.cost[what] is not None), default=None)


def _mark_best(values: list[Value], higher_is_better: bool) -> None:
    """Mark the best mean among the methods that measured every clip; alone, a method is not the best of anything."""
    complete = [value for value in values if value.complete]
    if len(complete) < 2:
        return
    means = [value.mean for value in complete if value.mean is not None]
    best = max(means) if higher_is_better else min(means)
    for value in complete:
        value.best = value.mean == best
