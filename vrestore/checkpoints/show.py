"""Cards of the model zoo as text for a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PIPE_WIDTH = 160  # columns where nobody reads along


def list_text(cards: Sequence[dict[str, Any]]) -> str:
    """One line an entry: name, scales, prompt, parameters, weights, licence, summary."""
    restorers = Table("name", "scale", "time", "sizes", "parameters", "weights", "licence", "what", box=SIMPLE_HEAD)
    networks = Table("network", "parameters", "weights", "licence", "what", box=SIMPLE_HEAD)
    for card in cards:
        weights = card["weights"] or {}
        size, licence = _count(card["parameters"]), _short(weights.get("licence"))
        state = weights.get("state") or ("none needed" if card["parameters"] == 0 else "–")
        what = escape(card["summary"] + (f" ({card['note']})" if card["note"] else ""))
        if card["kind"] == "network":
            networks.add_row(card["name"], size, state, licence, what)
            continue
        caps = card["capabilities"] or {}
        scales = f"x{_fractions(caps['spatial_scales'])}" if caps else "?"
        time = f"x{_fractions(caps['temporal_scales'])}" if caps else "?"
        sizes = f">= {caps['least_size_px']} px" if caps else "?"
        restorers.add_row(card["name"], scales, time, sizes, size, state, licence, what)
    parts: list[Any] = [restorers, networks] if networks.row_count else [restorers]
    return _render(*parts, "'vrestore zoo NAME' shows licence, source, protocol and numbers of one.")


def card_text(card: dict[str, Any]) -> str:
    """Everything that is known of one entry."""
    facts = Table.grid(padding=(0, 2))
    for title, value in _facts(card):
        facts.add_row(f"[bold]{title}[/bold]", escape(value))
    parts: list[Any] = [f"[bold]{card['name']}[/bold]: {escape(card['summary'])}\n", facts]
    if card["numbers"]:
        columns = list(dict.fromkeys(key for row in card["numbers"] for key in row))
        numbers = Table(*columns, box=SIMPLE_HEAD, title="numbers", title_justify="left")
        for row in card["numbers"]:
            numbers.add_row(*(escape(_number(row.get(key))) for key in columns))
        parts.append(numbers)
    return _render(*parts)


def _facts(card: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("kind", card["kind"])]
    caps = card["capabilities"] or {}
    facts += [(key.replace("_", " "), _plain(value)) for key, value in caps.items() if value is not None]
    facts += [("parameters", f"{card['parameters']:,}")] if card["parameters"] is not None else []
    for title, weights in [("weights", card["weights"]), *(("also", other) for other in card["also"])]:
        if weights:
            place = weights["file"] or weights["url"] or weights["release"] or "?"
            facts.append((title, f"{place} ({weights['state']})"))
            keys = ("licence", "source", "trained_on", "sha256")
            facts += [(f"  {key.replace('_', ' ')}", weights[key]) for key in keys if weights[key]]
    facts += [("model", _plain(card["model"]))] if card["model"] else []
    return facts + [(key, card[key]) for key in ("paper", "card", "note") if card[key]]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return f"dict({', '.join(f'{k}={_plain(v) if isinstance(v, dict) else repr(v)}' for k, v in value.items())})"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _fractions(scales: str) -> str:
    """``0.25 to 4`` as ``1/4 to 4``."""

    def shorter(word: str) -> str:
        parts = round(1 / float(word)) if word.startswith("0.") else 0
        return f"1/{parts}" if parts and abs(float(word) * parts - 1) < 1e-5 else word

    return " ".join(shorter(word) for word in scales.split(" "))


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "–" if value is None else str(value)


def _count(parameters: int | None) -> str:
    if not parameters:
        return "–"
    return f"{parameters / 1e6:.2f} M" if parameters >= 1e5 else f"{parameters:,}"


def _short(licence: str | None, most: int = 24) -> str:
    licence = licence or "–"
    return licence if len(licence) <= most else licence[: most - 1] + "…"


def _render(*parts: Any) -> str:
    terminal = Console()
    width = terminal.width if terminal.is_terminal else PIPE_WIDTH
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal.is_terminal, highlight=False)
    for part in parts:
        console.print(part)
    return console.file.getvalue().rstrip()  # type: ignore[attr-defined]
