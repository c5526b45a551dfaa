"""A progress bar for work over a list, where someone can see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
FEW = 8  # shorter lists are done before a bar would help


def tracked(items: Sequence[Item], label: str, show: bool = True, few: int = FEW) -> Iterable[Item]:
    """The items one by one, with a bar, the count and the time left on a terminal where there are at least `few`."""
    console = Console(stderr=True)
    if not show or len(items) < few or not console.is_terminal:
        return items
    return track(items, label, console=console, transient=True)
