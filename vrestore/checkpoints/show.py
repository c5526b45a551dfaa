"""Cards of the model zoo as text for a terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vrestore.checkpoints.terms import restriction

PIPE_WIDTH = 160  # columns where nobody reads along
LEAST_WIDTH_FOR_SUMMARIES = 120

ABOUT = ("set", "degradation", "protocol", "source")  # of a row of numbers, what is no score
SCORES = {"e_warp": "E*warp", "clip_iqa": "CLIP-IQA", "fastervqa": "FasterVQA"}


def list_text(cards: Sequence[dict[str, Any]]) -> str:
    """One line an entry, under its method: name, scales, weights, licence and, where they fit, size and summary."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    wide = _width() >= LEAST_WIDTH_FOR_SUMMARIES
    headings = ("name", "scale", "time", "weights", "licence", *(("size", "what") if wide else ()))
    for heading in headings:
        folds = heading in ("licence", "what")
        justify: Any = "right" if heading == "size" else "left"
        table.add_column(heading, no_wrap=not folds, overflow="fold" if folds else "ellipsis", justify=justify)
    for method, group in _groups(cards):
        table.add_section()
        table.add_row(f"[bold]{escape(method)}[/bold]")
        for card in group:
            table.add_row(*_row(card)[: len(headings)])
    return _render(table, "'vrestore zoo NAME' shows licence, source, protocol and numbers of one.")


def _groups(cards: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The cards by method, in the order in which the methods first appear."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for card in cards:
        groups.setdefault(card["method"] or "others", []).append(card)
    return list(groups.items())


def _row(card: dict[str, Any]) -> list[str]:
    weights, caps = card["weights"] or {}, card["capabilities"]
    state = weights.get("state") or ("none needed" if card["parameters"] == 0 else "–")
    scale, time = (f"x{fractions(caps[key])}" if caps else "–" for key in ("spatial_scales", "temporal_scales"))
    what = card["summary"] + (f" ({card['note']})" if card["note"] else "")
    licence = _short(weights.get("licence"))
    if restriction(weights.get("licence")):
        licence = f"[yellow]{escape(licence)}[/yellow]"
    return [f"  {card['name']}", scale, time, state, licence, _count(card["parameters"]), escape(what)]


def card_text(card: dict[str, Any]) -> str:
    """Everything that is known of one entry."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for title, value in _facts(card):
        facts.add_row(f"[bold]{title}[/bold]", escape(value))
    parts: list[Any] = [f"[bold]{card['name']}[/bold]: {escape(card['summary'])}\n", facts]
    if card["numbers"]:
        columns = ("set", "degradation", "scores", "protocol", "source")
        numbers = Table(*columns, box=SIMPLE_HEAD, title="numbers", title_justify="left")
        for row in card["numbers"]:
            numbers.add_row(*(escape(str({**row, "scores": scores_text(row)}[key])) for key in columns))
        parts.append(numbers)
    return _render(*parts)


def _facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("kind", card["kind"]), *([("method", card["method"])] if card["method"] else [])]
    caps = card["capabilities"] or {}
    facts += [(key.replace("_", " "), _plain(value)) for key, value in caps.items() if value is not None]
    facts += [("parameters", f"{card['parameters']:,}")] if card["parameters"] is not None else []
    for title, weights in [("weights", card["weights"]), *(("also", other) for other in card["also"])]:
        if weights:
            facts.append((title, f"{weights['name'] or '?'} ({weights['state']})"))
            sources = weights["sources"] or (weights,)
            facts.append(("  available from", "; ".join(_source_text(source) for source in sources)))
            limits = restriction(weights["licence"])
            licence = weights["licence"] and weights["licence"] + (f"; {limits}" if limits else "")
            rest = [(key, weights[key]) for key in ("source", "trained_on", "sha256", "note")]
            facts += [(f"  {key.replace('_', ' ')}", text) for key, text in [("licence", licence), *rest] if text]
    facts += [("model", _plain(card["model"]))] if card["model"] else []
    facts += [("config", f"configs/{card['config']}")] if card["config"] else []
    return facts + [(key, card[key]) for key in ("paper", "card", "note") if card[key]]


def _source_text(source: Mapping[str, Any]) -> str:
    if source.get("package"):
        sums = ", ".join(f"{path.rpartition('/')[2]}: SHA-256 {digits}" for path, digits in source["paths"].items())
        return f"package {source['package']} {source['version']} ({sums})"
    if source["url"]:
        places = " or ".join([source["url"], *source.get("mirrors", ())])
        # The sum of the short form has a line of its own.
        return f"{places} (SHA-256 {source['sha256']})" if source["sha256"] and "paths" in source else places
    return f"ships: {source['file']}" if source["file"] else "by hand"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return f"dict({', '.join(f'{k}={_plain(v) if isinstance(v, dict) else repr(v)}' for k, v in value.items())})"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def fractions(scales: str) -> str:
    """``0.25 to 4`` as ``1/4 to 4``."""

    def shorter(word: str) -> str:
        parts = round(1 / float(word)) if word.startswith("0.") else 0
        return f"1/{parts}" if parts and abs(float(word) * parts - 1) < 1e-5 else word

    return " ".join(shorter(word) for word in scales.split(" "))


def scores_text(row: Mapping[str, Any]) -> str:
    """The scores of a row of numbers: ``PSNR 31.4170, SSIM 0.8909``."""
    return ", ".join(f"{score_name(key)} {value:.4f}" for key, value in row.items() if key not in ABOUT)


def score_name(key: str) -> str:
    """What a score is called that the index spells ``e_warp``."""
    return SCORES.get(key, key.replace("_", " ").replace("vbench", "VBench") if "_" in key else key.upper())


def _count(parameters: int | None) -> str:
    if not parameters:
        return "–"
    if parameters >= 1e9:
        return f"{parameters / 1e9:.2f} B"
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e5 else f"{parameters:,}"


def _short(licence: str | None) -> str:
    """``CC BY-NC 4.0 (non-commercial)`` as ``CC BY-NC 4.0``; what needs a sentence is told by the card."""
    known = re.match(r"[A-Z][\w.-]*( BY[\w-]*( [\d.]+)?)?|none stated", licence or "")
    return known[0] if known else licence or "–"


def _render(*parts: Any) -> str:
    console = Console(file=io.StringIO(), width=_width(), force_terminal=Console().is_terminal, highlight=False)
    for part in parts:
        console.print(part)
    return console.file.getvalue().rstrip()  # type: ignore[attr-defined]


def _width() -> int:
    terminal = Console()
    return terminal.width if terminal.is_terminal else PIPE_WIDTH
