"""The model zoo's index as Markdown: what docs/model_zoo.md shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vrestore.checkpoints.cards import card
from vrestore.checkpoints.index import ZooEntry, zoo
from vrestore.checkpoints.show import ABOUT, fractions, score_name
from vrestore.checkpoints.sources import WeightSource
from vrestore.checkpoints.terms import restriction


def zoo_markdown() -> str:
    """A section a method: its entries, their files, and what was published of them. Independent of the machine."""
    entries = list(zoo().values())
    methods: dict[str, list[ZooEntry]] = {}
    for entry in entries:
        methods.setdefault(entry.method or "others", []).append(entry)
    files = sum(len(entry.all_weights) for entry in entries)
    lines = [f"{len(entries)} entries, {files} files of weights.", ""]
    for method, own in methods.items():
        lines += [f"## {method}", ""]
        papers = list(dict.fromkeys(entry.paper for entry in own if entry.paper))
        lines += [f"{'Paper' if len(papers) == 1 else 'Papers'}: {', '.join(f'<{p}>' for p in papers)}", ""] * bool(
            papers
        )
        lines += [*_entries(own), ""]
        if any(entry.all_weights for entry in own):
            lines += [*_files(own), ""]
        if any(entry.numbers for entry in own):
            lines += [*_numbers(own), ""]
    return "\n".join(lines)


def _entries(entries: Sequence[ZooEntry]) -> list[str]:
    rows = []
    for entry in entries:
        shown = card(entry.name)
        caps = shown["capabilities"] or {}
        size = f"{shown['parameters']:,}" if shown["parameters"] else "–"
        config = f"[`{entry.config}`](../configs/{entry.config})" if entry.config else "–"
        scales = [f"x{fractions(caps[key])}" if caps else "–" for key in ("spatial_scales", "temporal_scales")]
        rows.append([f"`{entry.name}`", entry.summary, *scales, size, config])
    return _table(["name", "what", "scale", "time", "parameters", "config"], rows)


def _files(entries: Sequence[ZooEntry]) -> list[str]:
    rows = []
    for entry in entries:
        for i, weights in enumerate(entry.all_weights):
            sums = [s.sha256 or next(reversed(list(s.paths.values())), None) for s in weights.all_sources]
            sha256 = ", ".join(f"`{digits[:8]}`" for digits in sums if digits) or "–"
            places = "<br>".join(_place(s) for s in weights.all_sources)
            limits = restriction(weights.licence)
            licence = f"**{weights.licence}**: {limits}" if limits else weights.licence or "–"
            note = "; ".join(text for text in (weights.trained_on, weights.note) if text)
            source = weights.source or "–"
            of = f"`{entry.name}`" if i == 0 else "also"
            files = "<br>".join(_link(s) for s in weights.all_sources)
            rows.append([of, files, places, sha256, licence, source, note or "–"])
    return _table(["of", "file", "available from", "SHA-256", "licence", "from", "trained on, notes"], rows)


def _link(source: WeightSource) -> str:
    if source.url:
        return f"[`{source.name}`]({source.url})"
    return f"[`{source.name}`](../model_zoo/{source.file})" if source.file else f"`{source.name}`"


def _place(source: WeightSource) -> str:
    return f"package `{source.package}` {source.version}" if source.package else source.availability


def _numbers(entries: Sequence[ZooEntry]) -> list[str]:
    """Scores of one set, degradation and protocol in one column; each protocol and source is told below."""
    rows = [(entry.name, row) for entry in entries for row in entry.numbers]
    kinds = list(dict.fromkeys(_kind(row) for _, row in rows))
    parts = []
    for metrics in dict.fromkeys(kind[-1] for kind in kinds):
        own = [kind for kind in kinds if kind[-1] == metrics]
        heads = [f"{set_}, {degradation}" for set_, degradation, *_ in own]
        names = list(dict.fromkeys(name for name, row in rows if _kind(row)[-1] == metrics))
        cells = [
            [
                f"`{name}`",
                *("<br>".join(_scores(r) for n, r in rows if n == name and _kind(r) == k) or "–" for k in own),
            ]
            for name in names
        ]
        parts += _table([" / ".join(score_name(m) for m in metrics), *heads], cells)
        parts += ["", *(f"- {s}, {d}: {protocol} ({source})" for s, d, protocol, source, _ in own), ""]
    return parts[:-1]


def _kind(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(row[key] for key in ABOUT), tuple(key for key in row if key not in ABOUT))


def _scores(row: Mapping[str, Any]) -> str:
    return " / ".join(
        f"{value:g}" if key != "ssim" else f"{value:.4f}" for key, value in row.items() if key not in ABOUT
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(heads), "|" + "---|" * len(heads), *(line(row) for row in rows)]
