"""Training as a person reads it: a run's recipes against each other, runs side by side, and the gate's verdict."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.compare import Compared
from training.contestants import RANKER
from training.gate import PRIMARY, Verdict
from training.label_counts import LabelCounts
from training.results import HEADLINES, Row

#: Characters from which a terminal shows every headline.
WIDE = 120

Interval = tuple[float, float | None, float | None]


def show_counts(counts: LabelCounts, screen: Console) -> None:
    """What each rule made of the offers, and what those that are left teach and test."""
    table = _grid("The offers, and what each rule made of them")
    table.add_column("")
    table.add_column("offers", justify="right")
    table.add_column("")
    for rule, offers, meaning in counts.lines():
        whole = rule in ("offers", "examples")
        table.add_row(
            Text(rule if whole else f"  {rule}"), f"{offers:,}", Text(meaning), style="bold" if whole else None
        )
    screen.print(table)
    screen.print()
    table = _grid("What they teach and test")
    table.add_column("")
    for block in counts.blocks:
        table.add_column(block, justify="right")
    for what in next(iter(counts.blocks.values())):
        numbers = [known[what] for known in counts.blocks.values()]
        if any(numbers):
            table.add_row(what, *(f"{n:,}" if n else "–" for n in numbers))
    screen.print(table)
    screen.print()


def show_recipes(rows: Sequence[Row], said: str, beaten: bool, screen: Console) -> None:
    """The ranker and everything it was set against, on the same test offers; `beaten`: it beats all of them."""
    cells = {(row.recipe, row.metric): row for row in rows}
    table = _grid("The ranker and its baselines, on the same offers that none of them had seen")
    table.add_column("recipe")
    metrics = [name for name in HEADLINES if screen.width >= WIDE or not name.startswith("log_loss")]
    for name in metrics:
        table.add_column(HEADLINES[name], justify="right", max_width=14)
    table.add_column(f"ranker's lead, {HEADLINES[PRIMARY]}", justify="right", no_wrap=True)
    for recipe, title in {row.recipe: row.title for row in rows}.items():
        found = [cells.get((recipe, metric)) for metric in metrics]
        first = cells.get((recipe, PRIMARY))
        lead = Text("–" if first is None or first.difference is None else _lead(first))
        numbers = ["–" if row is None else f"{row.value:.3f}" for row in found]
        table.add_row(title, *numbers, lead, style="bold" if recipe == RANKER else None)
    screen.print(table)
    screen.print(Text(said, style="bold green" if beaten else "bold yellow"))


def _lead(row: Row) -> str:
    text = f"{row.difference:+.3f}"
    if row.difference_low is not None:
        text += f" ({row.difference_low:+.3f} to {row.difference_high:+.3f})"
    return text


def show_runs(runs: Sequence[Compared], screen: Console) -> None:
    """Runs as columns; the parameters in which they differ, then their metrics with 95 % intervals."""
    table = _grid("Runs side by side")
    table.add_column("")
    for run in runs:
        table.add_column(run.name, overflow="fold")
    table.add_row("run", *(run.run_id for run in runs))
    table.add_row("started", *(f"{run.started:%Y-%m-%d %H:%M}" for run in runs))
    table.add_row("version", *(run.version or "–" for run in runs))
    table.add_row("gate", *(run.gate or "not judged" for run in runs))
    for name in runs[0].params:
        table.add_row(Text(name), *(Text(run.params.get(name, "–")) for run in runs))
    for name in dict.fromkeys(name for run in runs for name in run.metrics):
        table.add_row(HEADLINES.get(name, name.replace("_", " ")), *(_metric(run.metrics.get(name)) for run in runs))
    screen.print(table)


def show_recipes_of(runs: Sequence[Compared], screen: Console) -> None:
    """Runs as rows, each followed by its baselines and ablations."""
    table = _grid("Each run with its baselines and ablations")
    table.add_column("run")
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    for name in metrics:
        width = None if name == PRIMARY else 14
        table.add_column(HEADLINES.get(name, name.replace("_", " ")), justify="right", max_width=width)
    for run in runs:
        seen = {name: run.metrics.get(name) for name in metrics}
        # One interval is enough to read across; `--format csv` has them all.
        cells = [_metric(m) if name == PRIMARY or m is None else f"{m[0]:.3f}" for name, m in seen.items()]
        table.add_row(Text(run.name), *cells)
    screen.print(table)


def _metric(seen: Interval | None) -> str:
    if seen is None:
        return "–"
    value, low, high = seen
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def show_verdict(verdict: Verdict, screen: Console) -> None:
    """Every check of the gate with what it saw, then what that comes to."""
    table = _grid(f"The gate on version {verdict.version}")
    table.add_column("")
    table.add_column("check")
    table.add_column("what it saw", ratio=1)
    for check in verdict.checks:
        mark = Text("met", style="green") if check.passed else Text("NOT MET", style="bold red")
        table.add_row(mark, check.name.replace("_", " "), Text(check.text))
    screen.print(table)
    screen.print(Text(verdict.reason, style="bold green" if verdict.passed else "bold red"))


def _grid(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
