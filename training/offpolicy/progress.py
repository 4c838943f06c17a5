"""What a long evaluation is busy with, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

#: Takes what is being done now, in words.
Tick = Callable[[str], None]


def silent(_: str) -> None:
    """Tell nobody."""


@contextmanager
def progress(title: str) -> Iterator[Tick]:
    """A line on stderr that says what is being done, where that is a terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(f"[bold]{title}[/] {{task.description}}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda words: bar.update(task, description=words)
