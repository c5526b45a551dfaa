"""The report of a benchmark run: terminal table, Markdown, CSV and JSON, all from the same tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from vrestore.checkpoints.reference import REFERENCE
from vrestore.data.clips import some
from vrestore.evaluation.benchmark import BenchmarkResult
from vrestore.evaluation.cells import Cell, cell_to_plain, encode_number
from vrestore.evaluation.cost import MEMORY_NOTE, TIME_NOTE
from vrestore.evaluation.files import write_text
from vrestore.evaluation.protocol import stamp
from vrestore.evaluation.published import Published
from vrestore.evaluation.statistics import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED, CONFIDENCE
from vrestore.evaluation.summary import Column, Row, Table, Value, summarise

DECIMALS = {"PSNR": 2, "SSIM": 4, "LPIPS": 4, "NIQE": 2}
NOT_MEASURED = "not measured"
BEST_MARK = "*"
MOST_WARNINGS = 3  # of one method in the notes of a table


def write_report(result: BenchmarkResult, folder: Path, pictures: Iterable[Path] = ()) -> list[Path]:
    """Write results.json, results.csv (a row a clip and score) and results.md.

    Args:
        result: of `run_benchmark`.
        folder: where they go.
        pictures: comparison pictures under `folder` that the Markdown shows.

    Returns:
        The files written.

    Raises:
        EvaluationError: a file cannot be written.
    """
    tables = summarise(result)
    return [
        write_text(folder / "results.json", to_json(result, tables)),
        write_text(folder / "results.csv", to_csv(result, tables)),
        write_text(folder / "results.md", to_markdown(result, tables, [p.relative_to(folder) for p in pictures])),
    ]


def print_report(result: BenchmarkResult, console: Console) -> None:
    """The tables and everything that a reader of the numbers must know, to the terminal."""
    for table in summarise(result):
        console.print(Text(title(table), style="bold"))
        for part in _terminal_tables(table, console):
            console.print(part)
        for note in notes(table):
            console.print(Text(note, style="red" if " failed" in note else "dim"))
    console.print(Text(environment_line(result.environment), style="dim"))


def _terminal_tables(table: Table, console: Console) -> list[RichTable]:
    """One table; in a narrow terminal the cost in one of its own, and then the intervals left to the files."""
    headings, scores = _headings(table), len(table.columns)
    unlimited = console.options.update_width(10_000)
    everything = _terminal_table(table, headings)
    if console.measure(everything, options=unlimited).maximum <= console.width:
        return [everything]
    cost = _terminal_table(table, headings[scores:], first=scores)
    quality = _terminal_table(table, headings[:scores])
    fits = console.measure(quality, options=unlimited).maximum <= console.width
    return [quality if fits else _terminal_table(table, headings[:scores], intervals=False), cost]


def _terminal_table(table: Table, headings: list[str], first: int = 0, intervals: bool = True) -> RichTable:
    """Some columns of a table, from `first` on; intervals go on a line of their own."""
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("method", no_wrap=True)
    for heading in headings:
        shown.add_column(heading.replace(" (", "\n(", 1), justify="right", no_wrap=True)
    for row in table.rows:
        cells = []
        for text, best in _texts(table, row)[first : first + len(headings)]:
            text = text.replace(" [", "\n[").replace("not measured", "not\nmeasured").replace(" (", "\n(")
            cells.append(Text(text if intervals else text.partition("\n[")[0], style="bold green" if best else ""))
        shown.add_row(Text(row.method, style="red" if row.failures else ""), *cells)
    if table.published:
        shown.add_section()
        for published in table.published:
            cells = [Text(text, style="dim") for text in _published_texts(table, published)]
            shown.add_row(Text(f"{published.entry} (published)", style="dim"), *cells[first : first + len(headings)])
    return shown


def to_markdown(result: BenchmarkResult, tables: list[Table], pictures: Iterable[Path] = ()) -> str:
    """The tables, the protocol of each score, rows a clip, and where the numbers were made."""
    lines = ["# Benchmark results", "", environment_line(result.environment), ""]
    for table in tables:
        lines += [f"## {title(table)}", ""]
        lines += _markdown_table(
            ["method", *_headings(table)],
            [
                [row.method, *(f"**{text}**" if best else text for text, best in _texts(table, row))]
                for row in table.rows
            ],
        )
        if table.published:
            lines += ["", "Published under the same protocols:", ""]
            lines += _markdown_table(
                ["entry of the zoo", *(column.label for column in table.columns), "source"],
                [[p.entry, *_published_texts(table, p)[: len(table.columns)], p.source] for p in table.published],
            )
        lines += ["", *(f"- {note}" for note in notes(table, best="bold")), "", "### Clips", ""]
        headings = ["clip", "method", *(column.label for column in table.columns), "s/frame", "shift (px)"]
        lines += [*_markdown_table(headings, list(_clip_rows(table))), ""]
    lines += [line for picture in pictures for line in (f"![{picture.stem}]({picture.as_posix()})", "")]
    return "\n".join(lines)


def to_csv(result: BenchmarkResult, tables: list[Table]) -> str:
    """One row for every benchmark, clip, method and score; failures have rows of their own."""
    names = [
        *("benchmark", "degradation", "clip", "method", "metric", "value", "unit", "status", "frames"),
        *("infinite_frames", "unmeasured_frames", "seconds_per_frame", "peak_rss_bytes", "peak_cuda_bytes"),
        *("parameters", "weights", "shift_right_px", "shift_down_px", "frame_offset", "warning", "input_hash"),
        *("protocol_id", "protocol", "vrestore", "commit"),
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    made = {"vrestore": result.environment["vrestore"], "commit": result.environment["commit"]}
    for table in tables:
        where = {"benchmark": table.benchmark, "degradation": table.degradation, **made}
        for row in table.rows:
            writer.writerows({**where, **record} for cell in row.cells for record in _csv_cell(cell))
            for failure in row.failures:
                writer.writerow(
                    {**where, "clip": failure.clip, "method": row.method, "status": f"failed: {failure.error}"}
                )
    return text.getvalue()


def to_json(result: BenchmarkResult, tables: list[Table]) -> str:
    """Everything: summary, cells with a value a frame, failures, config, machine."""
    data = {
        "environment": result.environment,
        "config": result.config,
        "bootstrap": {"seed": BOOTSTRAP_SEED, "draws": BOOTSTRAP_DRAWS, "confidence": CONFIDENCE},
        "notes": {"time": TIME_NOTE, "memory": MEMORY_NOTE},
        "tables": [_plain_table(table) for table in tables],
        "cells": [cell_to_plain(cell) for cell in result.cells],
        "failures": [asdict(failure) for failure in result.failures],
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def title(table: Table) -> str:
    """``vid4, BIx4: 4 clips, 171 frames``."""
    known = ", ".join(part for part in (table.benchmark, table.degradation) if part)
    return f"{known}: {len(table.clips)} clip{'' if len(table.clips) == 1 else 's'}, {table.frames} degraded frames"


def notes(table: Table, best: str = BEST_MARK) -> list[str]:
    """What the numbers of a table mean, and everything that is missing or odd about them."""
    found = [f"{column.label}: {stamp(column.protocol)}" for column in table.columns]
    found.append(
        f"mean over clips of the mean over frames, with the {CONFIDENCE:.0%} bootstrap interval over clips in brackets "
        f"(seed {BOOTSTRAP_SEED}); {best}: best of the methods that measured every clip"
    )
    found.append(f"s/frame: {TIME_NOTE}; memory: {MEMORY_NOTE}")
    if table.published:
        sources = ", ".join(dict.fromkeys(p.source for p in table.published))
        found.append(f"(published): by others on the same set, degradation and protocol, not measured here ({sources})")
    made_up = [row.method for row in table.rows if row.weights is not None and row.weights.startswith(REFERENCE)]
    if made_up:
        found.append(f"reference weights, made from names alone, whose scores mean nothing: {', '.join(made_up)}")
    reasons = {v.reason: c.label for row in table.rows for v, c in _pairs(table, row) if v.reason}
    found += [f"{label} {NOT_MEASURED}: {reason}" for reason, label in reasons.items()]
    for row in table.rows:
        for error, clips in _grouped((f.error, f.clip) for f in row.failures).items():
            found.append(f"{row.method} failed{f' on {some(clips)}' if clips else ''}: {error}")
        warnings = _alignment_warnings(row)
        found += [f"{row.method}, {clip}: {warning}" for clip, warning in warnings[:MOST_WARNINGS]]
        if len(warnings) > MOST_WARNINGS:
            found.append(f"{row.method}: {len(warnings) - MOST_WARNINGS} more misaligned clip(s), see results.csv")
        identical = max((value.infinite for value in row.values), default=0)
        if identical:
            found.append(f"{row.method}: {identical} frame(s) identical to the ground truth (infinite PSNR), left out")
    return found


def environment_line(environment: dict[str, Any]) -> str:
    """One line on where the numbers were made."""
    commit = (environment["commit"] or "")[:10]
    changed = f" with {environment['changed_files']} changed file(s)" if environment["changed_files"] else ""
    machine = environment["gpu"] or f"{environment['cpu']}, {environment['threads']} thread(s)"
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    return (
        f"vrestore {environment['vrestore']}{f' ({commit}{changed})' if commit else ''}, {environment['time']}, "
        f"{machine}, Python {environment['python']}, {packages}"
    )


def format_value(value: Value, column: Column) -> str:
    """``27.31* [26.90, 27.80]``, ``∞``, ``not measured``, ``27.31 (3 of 4 clips)``."""
    if value.mean is None:
        return NOT_MEASURED if value.reason else "–"
    text = _number(value.mean, column)
    if not value.complete:
        return f"{text} ({value.measured} of {value.clips} clips)"
    text += BEST_MARK if value.best else ""
    if value.interval is not None:
        text += f" [{_number(value.interval[0], column)}, {_number(value.interval[1], column)}]"
    return text


def _number(value: float, column: Column) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{DECIMALS.get(str(column.protocol.get('metric')), 4)}f}"


def _headings(table: Table) -> list[str]:
    arrows = [
        f"{c.label}{f' ({c.unit})' if c.unit else ''} {'↑' if c.higher_is_better else '↓'}" for c in table.columns
    ]
    gpu = ["GPU MiB"] if _used_gpu(table) else []
    return [*arrows, "s/frame", "RSS MiB", *gpu, "parameters"]


def _texts(table: Table, row: Row) -> list[tuple[str, bool]]:
    """The cells of a row after its name, and whether each is the best of its column."""
    values = [(format_value(value, column), value.best) for value, column in _pairs(table, row)]
    if row.failures and not row.cells:
        values = [("failed", False) for _ in values]
    cost = [_seconds(row.seconds_per_frame), _mebibytes(row.peak_rss_bytes)]
    cost += [_mebibytes(row.peak_cuda_bytes)] if _used_gpu(table) else []
    cost.append("–" if row.parameters is None else f"{row.parameters:,}")
    return values + [(text, False) for text in cost]


def _published_texts(table: Table, published: Published) -> list[str]:
    """The cells of a published row after its name: scores, and no cost."""
    pairs = zip(published.values, table.columns, strict=True)
    scores = ["–" if value is None else _number(value, column) for value, column in pairs]
    return scores + ["–"] * (len(_headings(table)) - len(scores))


def _pairs(table: Table, row: Row) -> list[tuple[Value, Column]]:
    return list(zip(row.values, table.columns, strict=True))


def _used_gpu(table: Table) -> bool:
    return any(row.peak_cuda_bytes is not None for row in table.rows)


def _grouped(pairs: Iterable[tuple[str, str | None]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, member in pairs:
        groups.setdefault(key, []).extend([member] if member else [])
    return groups


def _alignment_warnings(row: Row) -> list[tuple[str, str]]:
    found = [(cell.clip, (cell.alignment or {}).get("warning")) for cell in row.cells]
    return [(clip, warning) for clip, warning in found if warning]


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}"


def _mebibytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**20:,.0f}"


def _clip_rows(table: Table) -> Iterable[list[str]]:
    for clip in table.clips:
        for row in table.rows:
            for cell in (c for c in row.cells if c.clip == clip):
                scores = {(score.name, score.protocol_id): score for score in cell.scores}
                values = []
                for column in table.columns:
                    score = scores.get((column.name, column.protocol_id))
                    mean = math.nan if score is None or score.frames is None else score.clip.mean
                    values.append(NOT_MEASURED if math.isnan(mean) else _number(mean, column))
                shift = cell.alignment or {}
                known = shift.get("right_px") is not None
                moved = f"{shift['right_px']:+.2f}, {shift['down_px']:+.2f}" if known else "–"
                yield [clip, row.method, *values, _seconds(cell.seconds_per_frame), moved]


def _csv_cell(cell: Cell) -> Iterable[dict[str, Any]]:
    shift = cell.alignment or {}
    for score in cell.scores:
        mean = score.clip
        measured = score.frames is not None and not math.isnan(mean.mean)
        yield {
            "clip": cell.clip,
            "method": cell.method,
            "metric": score.name,
            "value": repr(mean.mean) if measured else "",
            "unit": score.unit,
            "status": "ok" if measured else f"{NOT_MEASURED}: {score.reason or 'no frame has a value'}",
            "frames": cell.frames,
            "infinite_frames": mean.infinite,
            "unmeasured_frames": mean.unmeasured,
            "seconds_per_frame": f"{cell.seconds_per_frame:.6g}",
            "peak_rss_bytes": cell.cost["peak_rss_bytes"],
            "peak_cuda_bytes": cell.cost["peak_cuda_bytes"],
            "parameters": cell.parameters,
            "weights": cell.weights,
            "shift_right_px": _rounded(shift.get("right_px")),
            "shift_down_px": _rounded(shift.get("down_px")),
            "frame_offset": shift.get("frame_offset"),
            "warning": shift.get("warning"),
            "input_hash": cell.input_hash,
            "protocol_id": score.protocol_id,
            "protocol": stamp(score.protocol),
        }


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _bold(text: str) -> str:
    mean, mark, rest = text.partition(BEST_MARK)
    return f"**{mean}**{rest}" if mark else text


def _markdown_table(headings: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(headings), "|" + "---|" * len(headings), *(line(row) for row in rows)]


def _plain_table(table: Table) -> dict[str, Any]:
    return {
        "benchmark": table.benchmark,
        "degradation": table.degradation,
        "clips": table.clips,
        "frames": table.frames,
        "columns": [asdict(column) for column in table.columns],
        "rows": [_plain_row(row) for row in table.rows],
        "published": [asdict(published) for published in table.published],
    }


def _plain_row(row: Row) -> dict[str, Any]:
    values = []
    for value in row.values:
        plain = asdict(value)
        plain["mean"] = None if value.mean is None else encode_number(value.mean)
        values.append(plain)
    names = ("method", "seconds_per_frame", "peak_rss_bytes", "peak_cuda_bytes", "parameters", "weights")
    status = "failed" if row.failures and not row.cells else "partly failed" if row.failures else "ok"
    return {**{name: getattr(row, name) for name in names}, "status": status, "values": values}
