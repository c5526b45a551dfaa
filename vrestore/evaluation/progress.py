"""A progress bar over cells, with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def cell_progress(console: Console | None, total: int) -> Iterator[Callable[..., None]]:
    """Show how many of `total` cells are done; yields ``advance(cells, text, resumed=False)``.

    Cells taken from an earlier run leave the total instead of counting as done: they took no time, and the estimate
    must not believe that the others will take none either.
    """
    if console is None:
        yield lambda cells, text, resumed=False: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        remaining = total

        def advance(cells: int, text: str, resumed: bool = False) -> None:
            nonlocal remaining
            if resumed:
                remaining -= cells
                progress.update(task, total=remaining, description=text)
            else:
                progress.update(task, advance=cells, description=text)

        yield advance
